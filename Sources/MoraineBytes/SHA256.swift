// SHA-256 (FIPS 180-4), for hashes that people compare: two contents with one hash are the same.

/// A running SHA-256.
package struct SHA256 {
    /// Bytes of a hash.
    package static let byteCount = 32
    private static let blockByteCount = 64

    private var state: (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32) = (
        0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A,
        0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19
    )
    /// Bytes that wait for a whole block.
    private var waiting: [UInt8] = []
    private var byteCount: UInt64 = 0

    package init() { waiting.reserveCapacity(Self.blockByteCount) }

    /// Adds bytes.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        byteCount &+= UInt64(bytes.count)
        var at = 0
        if !waiting.isEmpty {
            at = min(Self.blockByteCount - waiting.count, bytes.count)
            waiting.append(contentsOf: bytes[..<at])
            guard waiting.count == Self.blockByteCount else { return }
            waiting.withUnsafeBytes { Self.mix($0, &state) }
            waiting.removeAll(keepingCapacity: true)
        }
        let whole = at + (bytes.count - at) / Self.blockByteCount * Self.blockByteCount
        if whole > at { Self.mix(UnsafeRawBufferPointer(rebasing: bytes[at..<whole]), &state) }
        waiting.append(contentsOf: bytes[whole...])
    }

    /// Adds bytes of an array.
    package mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    /// The hash of everything added; nothing may be added after it.
    package mutating func finish() -> [UInt8] {
        let bitCount = byteCount &* 8
        let used = waiting.count + 1
        let zeros = (Self.blockByteCount * 2 - 8 - used) % Self.blockByteCount
        var tail: [UInt8] = [0x80]
        tail.append(contentsOf: repeatElement(0, count: zeros))
        for shift in stride(from: 56, through: 0, by: -8) {
            tail.append(UInt8(truncatingIfNeeded: bitCount >> UInt64(shift)))
        }
        update(tail)
        let words = [
            state.0, state.1, state.2, state.3, state.4, state.5, state.6, state.7,
        ]
        return words.flatMap { word in
            stride(from: 24, through: 0, by: -8).map { shift in
                UInt8(truncatingIfNeeded: word >> UInt32(shift))
            }
        }
    }

    /// The hash of an array.
    package static func hash(_ bytes: [UInt8]) -> [UInt8] {
        var hash = SHA256()
        hash.update(bytes)
        return hash.finish()
    }

    private typealias State = (
        UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32
    )

    /// Mixes whole blocks into `state`.
    private static func mix(_ blocks: UnsafeRawBufferPointer, _ state: inout State) {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { schedule in
            constants.withUnsafeBufferPointer { constants in
                for start in stride(from: 0, to: blocks.count, by: blockByteCount) {
                    fill(schedule, from: blocks, at: start)
                    rounds(schedule, constants, &state)
                }
            }
        }
    }

    private static func fill(
        _ schedule: UnsafeMutableBufferPointer<UInt32>,
        from blocks: UnsafeRawBufferPointer,
        at start: Int
    ) {
        for index in 0..<16 {
            schedule[index] = UInt32(
                bigEndian: blocks.loadUnaligned(
                    fromByteOffset: start &+ index &* 4,
                    as: UInt32.self
                )
            )
        }
        for index in 16..<64 {
            let early = schedule[index &- 15]
            let late = schedule[index &- 2]
            let small = rotated(early, 7) ^ rotated(early, 18) ^ (early >> 3)
            let large = rotated(late, 17) ^ rotated(late, 19) ^ (late >> 10)
            schedule[index] =
                schedule[index &- 16] &+ small &+ schedule[index &- 7] &+ large
        }
    }

    private static func rounds(
        _ schedule: UnsafeMutableBufferPointer<UInt32>,
        _ constants: UnsafeBufferPointer<UInt32>,
        _ state: inout State
    ) {
        var (a, b, c, d, e, f, g, h) = state
        for index in 0..<64 {
            let sum1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)
            let choice = (e & f) ^ (~e & g)
            let first = h &+ sum1 &+ choice &+ constants[index] &+ schedule[index]
            let sum0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)
            let majority = (a & b) ^ (a & c) ^ (b & c)
            (h, g, f, e) = (g, f, e, d &+ first)
            (d, c, b, a) = (c, b, a, first &+ sum0 &+ majority)
        }
        state = (
            state.0 &+ a, state.1 &+ b, state.2 &+ c, state.3 &+ d,
            state.4 &+ e, state.5 &+ f, state.6 &+ g, state.7 &+ h
        )
    }

    @inline(__always)
    private static func rotated(_ x: UInt32, _ count: UInt32) -> UInt32 {
        (x &>> count) | (x &<< (32 &- count))
    }

    /// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
    private static let constants: [UInt32] = [
        0x428A_2F98, 0x7137_4491, 0xB5C0_FBCF, 0xE9B5_DBA5, 0x3956_C25B, 0x59F1_11F1, 0x923F_82A4,
        0xAB1C_5ED5, 0xD807_AA98, 0x1283_5B01, 0x2431_85BE, 0x550C_7DC3, 0x72BE_5D74, 0x80DE_B1FE,
        0x9BDC_06A7, 0xC19B_F174, 0xE49B_69C1, 0xEFBE_4786, 0x0FC1_9DC6, 0x240C_A1CC, 0x2DE9_2C6F,
        0x4A74_84AA, 0x5CB0_A9DC, 0x76F9_88DA, 0x983E_5152, 0xA831_C66D, 0xB003_27C8, 0xBF59_7FC7,
        0xC6E0_0BF3, 0xD5A7_9147, 0x06CA_6351, 0x1429_2967, 0x27B7_0A85, 0x2E1B_2138, 0x4D2C_6DFC,
        0x5338_0D13, 0x650A_7354, 0x766A_0ABB, 0x81C2_C92E, 0x9272_2C85, 0xA2BF_E8A1, 0xA81A_664B,
        0xC24B_8B70, 0xC76C_51A3, 0xD192_E819, 0xD699_0624, 0xF40E_3585, 0x106A_A070, 0x19A4_C116,
        0x1E37_6C08, 0x2748_774C, 0x34B0_BCB5, 0x391C_0CB3, 0x4ED8_AA4A, 0x5B9C_CA4F, 0x682E_6FF3,
        0x748F_82EE, 0x78A5_636F, 0x84C8_7814, 0x8CC7_0208, 0x90BE_FFFA, 0xA450_6CEB, 0xBEF9_A3F7,
        0xC671_78F2,
    ]
}
