// Loss of power at every change of a scene, in every model.

import MoraineSimulation
import Testing

struct CrashSceneTests {
    @Test(arguments: CrashScene.allCases)
    func survivesACrashAnywhere(scene: CrashScene) throws {
        let count = try scene.crashEverywhere()
        #expect(count >= 8, "\(scene) has \(count) changes")
    }
}
