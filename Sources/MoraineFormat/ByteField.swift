// The layout of a structure of fixed size, as its page states it.

/// One field of a structure of fixed size.
///
/// Tests hold the layouts against the tables of the pages.
package struct ByteField: Sendable, Equatable {
    /// Bytes from the start of the structure.
    package let offset: Int
    /// Bytes; `nil` where the page says that it varies.
    package let size: Int?
    /// The type as the page writes it: "u32", "u8[16]".
    package let type: String
    /// The name as the page writes it.
    package let name: String

    package init(_ name: String, offset: Int, size: Int?, type: String) {
        self.offset = offset
        self.size = size
        self.type = type
        self.name = name
    }
}
