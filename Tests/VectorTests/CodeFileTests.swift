// Codes are written, read back, and stand for their vectors; files that are not right are refused.

import CKernels
import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineVectors

struct CodeFileTests {
    private func fixture(_ metric: Metric, dimensions: Int, count: Int = 1100, seed: UInt64 = 81)
        throws -> (VectorFixture, VectorFile, [[Float]])
    {
        var random = SplitMix(seed: seed)
        let fixture = try VectorFixture()
        let space = FixtureSpace(dimensions: dimensions, metric: metric, count: count) { index in
            random.vector(dimensions).map { $0 * (index % 97 == 0 ? 20 : 1) }
        }
        let file = try fixture.open(try fixture.write([space], rowCount: UInt64(count)))
        return (fixture, file, space.vectors)
    }

    @Test(arguments: Metric.allCases, [1, 63, 64, 300])
    func codesStandForTheirVectorsWithinTheirErrors(metric: Metric, dimensions: Int) throws {
        let (fixture, file, vectors) = try fixture(metric, dimensions: dimensions)
        let reference = try #require(try fixture.writeCodes(of: file))
        let codes = try fixture.openCodes(reference, of: file)
        #expect(codes.spaces.count == 1 && codes.space(ofCollection: 2) == nil)
        let space = try #require(codes.space(ofCollection: 1))
        #expect(space.count == 1100 && space.dimensions == dimensions && space.metric == metric)
        #expect(space.byteCount == (dimensions + 127) / 128 * 128)
        let all = 0..<1100
        let high = try space.verifiedHighHalves()
        let low = try space.verifiedLowHalves()
        #expect(UInt(bitPattern: high) % 64 == 0 && UInt(bitPattern: low) % 64 == 0)
        let half = space.halfByteCount
        for (index, vector) in vectors.enumerated() {
            let norm = Double(norm(vector))
            var (square, coarseSquare) = (0.0, 0.0)
            var (sum, coarseSum) = (0, 0)
            for place in 0..<space.byteCount {
                let at = index * half + place % half
                let shift = place < half ? 0 : 4
                let bits = (high: Int(high[at]) >> shift & 15, low: Int(low[at]) >> shift & 15)
                let value = bits.high * 16 + bits.low - 128
                #expect(abs(value) <= 127)
                guard place < dimensions else {
                    #expect(value == 0)
                    continue
                }
                let wanted = Double(vector[place]) / (metric == .cosine ? norm : 1)
                let rest = wanted - Double(space.scale) * Double(value)
                square += rest * rest
                sum += value * value
                // The nearest step, unless it saturates.
                let slack = Double(space.scale) * 0.500001
                #expect(abs(rest) <= slack || abs(value) == 127)
                let coarse = 32 * bits.high - 241
                let coarseRest = wanted - Double(space.scale) / 2 * Double(coarse)
                coarseSquare += coarseRest * coarseRest
                coarseSum += coarse * coarse
            }
            for (error, square) in [
                (try space.errors(all)[index], square),
                (try space.coarseErrors(all)[index], coarseSquare),
            ] {
                #expect(Double(error) >= square.squareRoot())
                #expect(Double(error) <= square.squareRoot() * 1.000001 + 1e-12)
            }
            #expect(Int(try space.squareSums(all)[index]) == sum)
            #expect(Int(try space.coarseSquareSums(all)[index]) == coarseSum)
        }
        #expect(findings(codes, file).isEmpty)
    }

    @Test func smallSpacesAreNotCodedAndFilesWithoutLargeOnesAreNotMade() throws {
        var random = SplitMix(seed: 82)
        let fixture = try VectorFixture()
        func space(_ id: UInt32, _ count: Int) -> FixtureSpace {
            FixtureSpace(collectionID: id, dimensions: 3, metric: .dot, count: count) { _ in
                random.vector(3)
            }
        }
        let small = try fixture.open(
            try fixture.write([space(1, 1023)], segment: 1, rowCount: 1023),
            segment: 1
        )
        #expect(try fixture.writeCodes(of: small, segment: 1) == nil)
        #expect(fixture.files.contents(of: fixture.codePath(1)) == nil)
        let mixed = try fixture.open(
            try fixture.write(
                [space(1, 10), space(2, 1024), space(3, 1), space(4, 2000)],
                rowCount: 2000
            )
        )
        let reference = try #require(try fixture.writeCodes(of: mixed))
        let codes = try fixture.openCodes(reference, of: mixed)
        #expect(codes.spaces.map(\.collectionID) == [2, 4])
        #expect(codes.spaces.map(\.count) == [1024, 2000])
        #expect(findings(codes, mixed).isEmpty)
    }

    @Test func vectorsOfZerosAreCoded() throws {
        let fixture = try VectorFixture()
        let space = FixtureSpace(dimensions: 3, metric: .l2, count: 1024) { _ in [0, 0, 0] }
        let file = try fixture.open(try fixture.write([space], rowCount: 1024))
        let codes = try fixture.openCodes(try #require(try fixture.writeCodes(of: file)), of: file)
        #expect(try codes.spaces[0].verifiedHighHalves()[0] == 0x88)
        #expect(try codes.spaces[0].verifiedLowHalves()[0] == 0)
        #expect(try codes.spaces[0].errors(0..<1)[0] == 0)
    }

    @Test func aStepThatThrowsLeavesNoFile() throws {
        let (fixture, file, _) = try fixture(.cosine, dimensions: 3)
        for limit in 0..<11 {
            var count = 0
            let refusal = code {
                _ = try fixture.writeCodes(of: file) { () throws(StoreError) in
                    count += 1
                    if count > limit { throw StoreError(.cancelled, "enough") }
                }
            }
            #expect(refusal == .cancelled)
            #expect(fixture.files.contents(of: fixture.codePath()) == nil)
        }
    }

    @Test func codesOfAnotherVectorFileAreRefused() throws {
        let (fixture, file, _) = try fixture(.cosine, dimensions: 3)
        let reference = try #require(try fixture.writeCodes(of: file))
        _ = fixture.files.removeForTest(fixture.path(7))
        var random = SplitMix(seed: 83)
        for (id, dimensions) in [(70, 3), (72, 3)] as [(UInt64, Int)] {
            let other = FixtureSpace(dimensions: dimensions, metric: .cosine, count: 1100) { _ in
                random.vector(dimensions)
            }
            let foreign = try fixture.open(
                try fixture.write([other], segment: id, fileID: id, rowCount: 1100),
                segment: id
            )
            #expect(code { _ = try fixture.openCodes(reference, of: foreign) } == .corrupted)
        }
    }

    @Test func everyFlippedByteOfTheCodesIsFoundWhenTouched() throws {
        let (fixture, file, _) = try fixture(.l2, dimensions: 3)
        let reference = try #require(try fixture.writeCodes(of: file))
        let good = try #require(fixture.files.contents(of: fixture.codePath()))
        for offset in stride(from: 0, to: good.count, by: 997) {
            var bad = good
            bad[offset] ^= 1
            fixture.files.replace(path: fixture.codePath(), bytes: bad)
            let refusal = code {
                let codes = try fixture.openCodes(reference, of: file)
                _ = try codes.spaces[0].verifiedHighHalves()
                // Padding is only looked at by who looks at every byte.
                if !findings(codes, file).isEmpty { throw StoreError(.corrupted, "found") }
            }
            #expect(refusal == .corrupted, "byte \(offset)")
        }
    }
}

/// What a code file consists of, to be bent.
struct HostileCodeTests {
    private static let types: [(type: UInt32, ordinal: UInt32)] = [
        (64, 0), (66, 0), (69, 0), (67, 0), (68, 0), (70, 0), (71, 0), (65, 0),
    ]

    /// A vector file of 1,024 vectors and the sections of its codes.
    private func parts() throws -> (
        VectorFixture, VectorFile, [(type: UInt32, ordinal: UInt32, bytes: [UInt8])]
    ) {
        let fixture = try VectorFixture()
        let space = FixtureSpace(dimensions: 2, metric: .cosine, count: 1024) { _ in [3, 4] }
        let file = try fixture.open(try fixture.write([space], rowCount: 1024))
        let reference = try #require(try fixture.writeCodes(of: file))
        let sealed = try SealedFile(
            fileSystem: fixture.files,
            root: fixture.root,
            name: FileNames.derived(.codes, 7, fileID: 71),
            kind: .codes,
            storeID: fixture.storeID,
            reference: reference,
            access: .read
        )
        let sections = try Self.types.map { type, ordinal in
            (type, ordinal, try sealed.requiredSection(type, ordinal: ordinal).load())
        }
        return (fixture, file, sections)
    }

    @Test func theUnbentForgeryIsAGoodFile() throws {
        let (fixture, file, parts) = try parts()
        let codes = try fixture.openCodes(try fixture.forgeCodes(parts), of: file)
        #expect(findings(codes, file).isEmpty)
    }

    @Test(arguments: [0, 3, 1000])
    func aSectionThatCameLaterIsPassedOver(place: Int) throws {
        var (fixture, file, parts) = try parts()
        parts.insert((200, 0, [1, 2, 3]), at: min(place, parts.count))
        let codes = try fixture.openCodes(try fixture.forgeCodes(parts), of: file)
        #expect(findings(codes, file).isEmpty)
    }

    @Test func tablesAndSectionsThatDoNotFitAreRefused() throws {
        let (fixture, file, parts) = try parts()
        var bent: [[(type: UInt32, ordinal: UInt32, bytes: [UInt8])]] = []
        for section in parts.indices {
            var missing = parts
            missing.remove(at: section)
            bent.append(missing)
            var short = parts
            short[section].bytes.removeLast()
            bent.append(short)
            var long = parts
            long[section].bytes.append(0)
            bent.append(long)
            var twice = parts
            twice.append((parts[section].type, 1, parts[section].bytes))
            bent.append(twice)
            for other in 0..<section {
                var swapped = parts
                swapped.swapAt(section, other)
                bent.append(swapped)
            }
        }
        // Fields of the source and of the entry; any finite norms and scale are as good a table.
        for field in 0..<4 { bent += bend(parts, section: 0, field) }
        for field in 0..<6 { bent += bend(parts, section: 7, field) }
        for (field, values) in [
            (6, [0, 1, 0x8000_0001, 0x7F80_0000, 0x7FC0_0000, 0xBF80_0000]),
            (7, [0xBF80_0000, 0x7F80_0000, 0x7FC0_0000, 0x40C0_0000]),
            (8, [0, 0xBF80_0000, 0x7F80_0000, 0x7FC0_0000]),
        ] as [(Int, [UInt32])] {
            for value in values { bent.append(with(parts, section: 7, field, value)) }
        }
        var doubled = parts
        doubled[7].bytes += parts[7].bytes
        bent += [doubled, []]
        for (index, sections) in bent.enumerated() {
            let reference = try fixture.forgeCodes(sections)
            let refusal = code { _ = try fixture.openCodes(reference, of: file) }
            #expect(refusal == .corrupted || refusal == .newerFormat, "\(index)")
        }
    }

    private func bend(
        _ parts: [(type: UInt32, ordinal: UInt32, bytes: [UInt8])],
        section: Int,
        _ field: Int
    ) -> [[(type: UInt32, ordinal: UInt32, bytes: [UInt8])]] {
        let old = parts[section].bytes[(field * 4)..<(field * 4 + 4)]
        let extremes: [UInt32] = [0, 1, 2, 3, 64, 65, 1023, 1025, 16_385, 1 << 31, .max]
        return extremes.compactMap { value in
            let bent = with(parts, section: section, field, value)
            return bent[section].bytes[(field * 4)..<(field * 4 + 4)] == old ? nil : bent
        }
    }

    private func with(
        _ parts: [(type: UInt32, ordinal: UInt32, bytes: [UInt8])],
        section: Int,
        _ field: Int,
        _ value: UInt32
    ) -> [(type: UInt32, ordinal: UInt32, bytes: [UInt8])] {
        var bent = parts
        for place in 0..<4 {
            bent[section].bytes[field * 4 + place] = UInt8(
                truncatingIfNeeded: value >> UInt32(8 * place)
            )
        }
        return bent
    }

    @Test func codesThatDoNotStandForTheirVectorsAreFound() throws {
        let (fixture, file, parts) = try parts()
        for (section, place) in [
            (1, 0), (1, 63), (2, 0), (2, 63), (3, 7), (4, 4 * 1023), (5, 7), (6, 4 * 1023),
        ] {
            var bent = parts
            // A larger error would be as true.
            let isError = section == 3 || section == 5
            bent[section].bytes[place] = isError ? 0 : bent[section].bytes[place] ^ 0x40
            let codes = try fixture.openCodes(try fixture.forgeCodes(bent), of: file)
            let found = findings(codes, file)
            #expect(found.count == 1 && found.first?.kind == .mismatch, "\(section)")
        }
        var bent = parts
        // The norm of all vectors is 5.
        bent[7].bytes.replaceSubrange(28..<32, with: [0, 0, 0xB0, 0x40])
        bent[7].bytes.replaceSubrange(32..<36, with: [0, 0, 0xC0, 0x40])
        let codes = try fixture.openCodes(try fixture.forgeCodes(bent), of: file)
        #expect(findings(codes, file).count == 1024)
    }

    @Test func vectorsThatAreNoneAreRefusedOrCodedButNeverTrap() throws {
        for (norm, value) in [
            (1, .nan), (.nan, 1), (.infinity, 1), (0, 1), (-1, 1), (1, .infinity),
            (.leastNonzeroMagnitude, 3e38),
        ] as [(Float, Float)] {
            for metric in Metric.allCases {
                let fixture = try VectorFixture()
                var writer = ByteWriter()
                let entry = VectorSpaceEntry(
                    collectionID: 1,
                    dimensions: 1,
                    vectorCount: 1024,
                    metric: metric
                )
                entry.encode(into: &writer)
                let word = { (value: UInt32) in (0..<4).map { UInt8(value >> ($0 * 8) & 0xFF) } }
                let vector = word(value.bitPattern) + [UInt8](repeating: 0, count: 60)
                let reference = try fixture.forge(
                    [
                        (31, 0, writer.finish()),
                        (32, 0, (0..<1024).flatMap { _ in vector }),
                        (33, 0, (0..<1024).flatMap { word($0) }),
                        (34, 0, (0..<1024).flatMap { _ in word(norm.bitPattern) }),
                    ],
                    rowCount: 1024
                )
                let file = try fixture.open(reference)
                let refusal = code {
                    guard let codes = try fixture.writeCodes(of: file) else { return }
                    _ = findings(try fixture.openCodes(codes, of: file), file)
                }
                #expect(refusal == nil || refusal == .corrupted)
            }
        }
    }
}
