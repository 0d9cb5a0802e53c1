// Derived files of a history: what the store holds is the same with and without them.

import MoraineEngine
import MoraineStorage

extension History {
    /// Makes the next derived file, or all that are lacking.
    func makeIndexes() throws -> Bool {
        let all = dice.chance(30)
        return try attempt("make derived files, all \(all)") { (e) throws(StoreError) in
            if all {
                outcome.indexCount += try e.buildIndexes()
            } else if try e.buildIndex() {
                outcome.indexCount += 1
            }
        }
    }
}
