// Stores of which one file says what cannot be, for programs that look at files themselves.

import MoraineBytes
import MoraineFiles
import MoraineStorage

/// Makes such stores.
package struct HostileStore {
    private let base: DamageStore

    /// - Throws: `StoreError` when the store cannot be made.
    package init() throws { base = try DamageStore(codec: .lz4, seed: 1) }

    /// Sealed files of each kind by their names, each with one extreme number in its directory,
    /// under checksums that are right.
    package func extremeDirectories() -> [(name: String, bytes: [UInt8])] {
        let byKind = Dictionary(grouping: base.paths, by: fileKind)
        return byKind.sorted { $0.key < $1.key }.compactMap(\.value.first).flatMap { path in
            HostileBytes.withExtremeDirectories(base.fileSystem.contents(of: path) ?? []).map {
                (String(path.dropFirst(DamageStore.folder.count + 1)), $0)
            }
        }
    }

    /// The files of a closed store by their names, every checksum in them right, and the name of the
    /// one in which fields were changed.
    package func files(seed: UInt64) -> (files: [String: [UInt8]], disturbed: String) {
        var dice = Dice(seed: seed)
        let byKind = Dictionary(grouping: base.paths, by: fileKind)
        var damaged: SimulatedFileSystem?
        var path = base.paths[0]
        while damaged == nil {
            path = dice.pick(byKind[dice.pick(byKind.keys.sorted())] ?? base.paths)
            let damage = FileDamage.hostile(path: path, seed: dice.seed())
            damaged = damage.applied(to: base, beside: base)
        }
        var files: [String: [UInt8]] = [:]
        let folder = DamageStore.folder + "/"
        for path in damaged?.filePaths ?? [] where path.hasPrefix(folder) {
            files[String(path.dropFirst(folder.count))] = damaged?.contents(of: path)
        }
        return (files, String(path.dropFirst(folder.count)))
    }
}
