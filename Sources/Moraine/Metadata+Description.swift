// Metadata for people: one line of JSON.

import MoraineBytes
import MoraineJSON
import MoraineStorage

extension Metadata: CustomStringConvertible {
    /// The metadata as JSON in one line, keys in their order.
    ///
    /// What cannot be stored, such as NaN, is said so instead.
    public var description: String {
        do {
            let binary = try encoded()
            var writer = JSONWriter()
            try binary.withUnsafeBytes { try writer.writeMetadata($0) }
            return writer.withBytes { String(decoding: $0, as: UTF8.self) }
        } catch {
            return "metadata that cannot be stored because of \(faultyPlace ?? "its size")"
        }
    }
}
