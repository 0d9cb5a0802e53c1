// Holds the imports of every target against the list of layers in Package.swift.
// The build alone does not: it accepts the import of a module that is only reached indirectly.

import Testing

/// A target as Package.swift states it.
private struct PackageTarget {
    let name: String
    let folder: String
    let dependencies: [String]
    /// Line in Package.swift.
    let line: Int
    var isTest: Bool { folder.hasPrefix("Tests/") }
}

private struct PackageList {
    let targets: [PackageTarget]

    init(_ text: String) {
        func names(_ list: String) -> [String] {
            matches(#""([^"]+)""#, in: list).map { $0.groups[1] }
        }
        var targets: [PackageTarget] = []
        for match in matches(#"layer\(\s*"(\w+)",\s*\[([^\]]*)\]"#, in: text) {
            targets.append(
                PackageTarget(
                    name: match.groups[1],
                    folder: "Sources/" + match.groups[1],
                    dependencies: names(match.groups[2]),
                    line: match.line
                )
            )
        }
        for match in matches(#"tests\(\s*"(\w+)",\s*\[([^\]]*)\]"#, in: text) {
            targets.append(
                PackageTarget(
                    name: match.groups[1],
                    folder: "Tests/" + match.groups[1],
                    dependencies: names(match.groups[2]) + ["MoraineTestSupport"],
                    line: match.line
                )
            )
        }
        let spelledOut =
            #"arget\(\s*name:\s*"([\w-]+)",\s*dependencies:\s*\[([^\]]*)\],\s*path:\s*"([^"]+)""#
        for match in matches(spelledOut, in: text) {
            targets.append(
                PackageTarget(
                    name: match.groups[1],
                    folder: match.groups[3],
                    dependencies: names(match.groups[2]),
                    line: match.line
                )
            )
        }
        for match in matches(#"(?:\.target|\.systemLibrary)\(\s*name:\s*"(C\w+)""#, in: text) {
            targets.append(
                PackageTarget(
                    name: match.groups[1],
                    folder: "Sources/" + match.groups[1],
                    dependencies: [],
                    line: match.line
                )
            )
        }
        self.targets = targets
    }
}

@Suite struct LayerTests {
    private static let package = PackageList(SourceTree.file("Package.swift")?.text ?? "")

    /// The public module and what stands above it.
    private static let upper = ["Moraine", "moraine-cli", "MoraineSimulation", "moraine-bench"]

    /// System calls; in MoraineJSON only realloc, which Swift's own memory lacks; in programs the
    /// descriptors and signals of their process; in salvage and simulation the names of error
    /// numbers.
    private static let callers = [
        "MoraineFiles", "MoraineJSON", "MoraineSalvage", "moraine-cli", "MoraineSimulation",
        "moraine-bench",
    ]

    /// Modules of the system, and who may import them below the tests.
    private static let systemModules: [String: @Sendable (String) -> Bool] = [
        "Synchronization": { _ in true },
        "Foundation": { upper.contains($0) },
        "FoundationEssentials": { upper.contains($0) },
        "FoundationXML": { upper.contains($0) },
        "Dispatch": { upper.contains($0) || $0 == "MoraineFiles" },
        "Glibc": { callers.contains($0) },
        "Darwin": { callers.contains($0) },
    ]

    private static func imports(_ code: String) -> [Match] {
        matches(
            #"^[ \t]*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?"#
                + #"import\s+(?:(?:struct|class|enum|protocol|func|var|let|typealias)\s+)?(\w+)"#,
            in: code
        )
    }

    @Test func everyImportStandsInTheListOfDependencies() {
        for target in Self.package.targets {
            for file in SourceTree.files where file.isSwift && file.isUnder(target.folder) {
                for match in Self.imports(file.code) {
                    let module = match.groups[1]
                    let isAllowed =
                        target.dependencies.contains { $0.replacing("-", with: "_") == module }
                        || Self.mayImport(target, systemModule: module)
                    #expect(
                        isAllowed,
                        "\(file.path):\(match.line): \(target.name) may not import \(module)"
                    )
                }
            }
        }
    }

    private static func mayImport(_ target: PackageTarget, systemModule module: String) -> Bool {
        if target.isTest { return module == "Testing" || systemModules[module] != nil }
        return systemModules[module]?(target.name) ?? false
    }

    @Test func layersStandInOrderAndDependOnlyOnWhatStandsAbove() {
        let lines = Dictionary(
            uniqueKeysWithValues: Self.package.targets.map { ($0.name, $0.line) }
        )
        for target in Self.package.targets {
            for dependency in target.dependencies {
                guard let line = lines[dependency] else {
                    Issue.record("Package.swift: \(target.name): unknown target \(dependency)")
                    continue
                }
                #expect(
                    line < target.line,
                    "Package.swift: \(target.name) depends on \(dependency), which stands below"
                )
            }
        }
    }

    @Test func everySwiftFileBelongsToATarget() {
        let folders = Self.package.targets.map(\.folder)
        for file in SourceTree.files where file.isSwift && file.path != "Package.swift" {
            #expect(
                folders.contains { file.isUnder($0) },
                "\(file.path) belongs to no known target"
            )
        }
    }

    @Test(arguments: [
        ("import A", "A"), ("package import B", "B"), ("@testable import C", "C"),
        ("@_spi(X) public import struct D.E", "D"), ("#if X\n    import F\n#endif", "F"),
    ])
    func everyFormOfImportIsSeen(_ text: String, _ module: String) {
        #expect(Self.imports(text).map { $0.groups[1] } == [module])
    }
}
