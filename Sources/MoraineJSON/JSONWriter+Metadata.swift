// From binary metadata to JSON text. Bytes: format-spec/document.md, "Metadata".

package import MoraineBytes
import MoraineFormat

extension JSONWriter {
    /// Appends binary metadata as a JSON object; on an error nothing is appended.
    ///
    /// Refuses what `Metadata.validate` refuses. Nesting costs no recursion.
    package mutating func writeMetadata(_ binary: UnsafeRawBufferPointer) throws(FormatError) {
        try Metadata.validate(binary)
        let start = buffer.count
        do throws(FormatError) {
            var reader = ByteReader(binary)
            try openMetadata(&reader, isObject: true)
            while var frame = metadataFrames.popLast() {
                guard frame.remaining > 0 else {
                    writeRaw(frame.isObject ? UInt8(ascii: "}") : UInt8(ascii: "]"))
                    continue
                }
                if !frame.isFirst { writeRaw(UInt8(ascii: ",")) }
                frame.remaining -= 1
                frame.isFirst = false
                metadataFrames.append(frame)
                if frame.isObject {
                    writeString(try reader.readPrefixed("key"))
                    writeRaw(UInt8(ascii: ":"))
                }
                try writeMetadataValue(&reader)
            }
        } catch {
            buffer.count = start
            metadataFrames.removeAll(keepingCapacity: true)
            throw error
        }
    }

    private mutating func openMetadata(_ reader: inout ByteReader, isObject: Bool)
        throws(FormatError)
    {
        let count = try reader.readCount("count", unit: isObject ? 2 : 1)
        metadataFrames.append(MetadataFrame(isObject: isObject, remaining: count))
        writeRaw(isObject ? UInt8(ascii: "{") : UInt8(ascii: "["))
    }

    private mutating func writeMetadataValue(_ reader: inout ByteReader) throws(FormatError) {
        switch try Metadata.readTag(&reader) {
        case .null: writeNull()
        case .false: writeBool(false)
        case .true: writeBool(true)
        case .integer:
            let bits = try reader.readVarint("integer")
            writeInt(Int64(bitPattern: bits >> 1) ^ -Int64(bitPattern: bits & 1))
        case .double: writeDouble(Double(bitPattern: try reader.readUInt64("double")))
        case .string: writeString(try reader.readPrefixed("string"))
        case .array: try openMetadata(&reader, isObject: false)
        case .object: try openMetadata(&reader, isObject: true)
        }
    }
}
