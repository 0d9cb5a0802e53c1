// SHA-256 against the examples of FIPS 180-4 and its long-message vectors.

import MoraineBytes
import Testing

struct SHA256Tests {
    private func text(_ hash: [UInt8]) -> String {
        hash.map { byte in
            let digits = String(byte, radix: 16)
            return byte < 16 ? "0" + digits : digits
        }.joined()
    }

    @Test func theExamplesOfTheStandard() {
        let cases = [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
            (
                "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopq"
                    + "klmnopqrlmnopqrsmnopqrstnopqrstu",
                "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
            ),
        ]
        for (message, hash) in cases {
            #expect(text(SHA256.hash(Array(message.utf8))) == hash)
        }
        #expect(
            text(SHA256.hash([UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)))
                == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        )
    }

    @Test func piecesOfAnySizeGiveTheSameHash() {
        let message = (0..<1_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        for length in [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1_000] {
            let whole = SHA256.hash(Array(message[..<length]))
            for size in [1, 3, 63, 64, 65, 200] {
                var hash = SHA256()
                for start in stride(from: 0, to: length, by: size) {
                    hash.update(Array(message[start..<min(length, start + size)]))
                }
                #expect(hash.finish() == whole, "\(length) bytes by \(size)")
            }
        }
    }
}
