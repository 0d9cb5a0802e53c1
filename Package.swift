// swift-tools-version: 6.2
// The layers of Moraine, bottom first. A target imports only what stands above it here;
// Tests/TidyTests checks the imports against the same list.
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

func layer(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(
        name: name,
        dependencies: dependencies + ["MoraineTestSupport"],
        swiftSettings: settings
    )
}

let package = Package(
    name: "moraine",
    platforms: [.macOS(.v15)],  // Mutex and Atomic
    products: [
        .library(name: "Moraine", targets: ["Moraine"]),
        .executable(name: "moraine", targets: ["moraine-cli"]),
        .executable(name: "moraine-bench", targets: ["moraine-bench"]),
    ],
    targets: [
        // Layer 0: the two system libraries, and all C of the project.
        .systemLibrary(
            name: "CZlib",
            pkgConfig: "zlib",
            providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]
        ),
        .systemLibrary(
            name: "CLZ4",
            pkgConfig: "liblz4",
            providers: [.apt(["liblz4-dev"]), .brew(["lz4"])]
        ),
        .target(name: "CKernels"),

        // Layer 1: bytes in memory; the operating system.
        layer("MoraineBytes", ["CZlib", "CLZ4", "CKernels"]),
        layer("MoraineFiles", ["CKernels"]),

        // Layer 2: every on-disk structure, bytes to values and back. No input or output.
        layer("MoraineFormat", ["MoraineBytes"]),

        // Layer 3: JSON text; sealed files, and the one error of all that touches files.
        layer("MoraineJSON", ["MoraineFormat", "MoraineBytes"]),
        layer("MoraineStorage", ["MoraineFormat", "MoraineFiles", "MoraineBytes"]),

        // Layer 4: siblings that do not know each other.
        layer("MoraineLog", ["MoraineStorage", "MoraineFormat", "MoraineFiles", "MoraineBytes"]),
        layer(
            "MoraineSegments",
            ["MoraineStorage", "MoraineFormat", "MoraineFiles", "MoraineBytes", "CKernels"]
        ),
        layer(
            "MoraineVectors",
            ["MoraineStorage", "MoraineFormat", "MoraineFiles", "MoraineBytes", "CKernels"]
        ),
        layer(
            "MoraineFilters",
            ["MoraineJSON", "MoraineStorage", "MoraineFormat", "MoraineFiles", "MoraineBytes"]
        ),

        // Layer 5: truth (manifest) and time (log sequence numbers).
        layer(
            "MoraineEngine",
            [
                "MoraineLog", "MoraineSegments", "MoraineVectors", "MoraineFilters",
                "MoraineStorage", "MoraineFormat", "MoraineFiles", "MoraineBytes",
            ]
        ),

        // Layer 6: a new store from a damaged one.
        layer(
            "MoraineSalvage",
            [
                "MoraineEngine", "MoraineLog", "MoraineSegments", "MoraineVectors",
                "MoraineStorage", "MoraineFormat", "MoraineFiles", "MoraineBytes",
            ]
        ),

        // Layer 7: the public names.
        layer(
            "Moraine",
            [
                "MoraineSalvage", "MoraineEngine", "MoraineFilters", "MoraineJSON",
                "MoraineStorage", "MoraineFormat", "MoraineFiles", "MoraineBytes",
            ]
        ),

        // Programs.
        .executableTarget(
            name: "moraine-cli",
            dependencies: [
                "Moraine", "MoraineSalvage", "MoraineEngine", "MoraineFilters", "MoraineJSON",
                "MoraineVectors", "MoraineSegments", "MoraineLog", "MoraineStorage",
                "MoraineFormat", "MoraineFiles", "MoraineBytes",
            ],
            path: "tools/moraine",
            exclude: ["README.md"],
            swiftSettings: settings
        ),
        .target(
            name: "MoraineSimulation",
            dependencies: [
                "MoraineSalvage", "MoraineEngine", "MoraineFilters", "MoraineVectors",
                "MoraineSegments", "MoraineLog",
                "MoraineStorage", "MoraineFormat", "MoraineFiles", "MoraineBytes",
            ],
            path: "Benchmarks/Simulation",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "moraine-bench",
            dependencies: [
                "MoraineSimulation", "Moraine", "MoraineEngine", "MoraineJSON", "MoraineVectors",
                "MoraineFilters", "MoraineSegments", "MoraineLog", "MoraineStorage",
                "MoraineFormat", "MoraineFiles", "MoraineBytes", "CKernels",
            ],
            path: "Benchmarks/Bench",
            swiftSettings: settings
        ),

        // Tests.
        .target(
            name: "MoraineTestSupport",
            dependencies: ["MoraineFiles", "MoraineFormat", "MoraineBytes"],
            path: "Tests/Support",
            swiftSettings: settings
        ),
        tests("BytesTests", ["MoraineBytes", "CKernels"]),
        tests("FilesTests", ["MoraineFiles"]),
        tests("FormatTests", ["Moraine", "MoraineEngine", "MoraineFormat", "MoraineBytes"]),
        tests("JSONTests", ["MoraineJSON", "MoraineFormat", "MoraineBytes"]),
        tests(
            "LogTests",
            ["MoraineLog", "MoraineStorage", "MoraineFormat", "MoraineFiles", "MoraineBytes"]
        ),
        tests(
            "SegmentTests",
            ["MoraineSegments", "MoraineStorage", "MoraineFormat", "MoraineFiles", "MoraineBytes"]
        ),
        tests(
            "VectorTests",
            [
                "MoraineVectors", "MoraineStorage", "MoraineFormat", "MoraineFiles",
                "MoraineBytes", "CKernels",
            ]
        ),
        tests(
            "FilterTests",
            [
                "MoraineFilters", "MoraineJSON", "MoraineStorage", "MoraineFormat",
                "MoraineFiles", "MoraineBytes",
            ]
        ),
        tests(
            "EngineTests",
            [
                "MoraineSimulation", "MoraineEngine", "MoraineLog", "MoraineVectors",
                "MoraineSegments", "MoraineFilters",
                "MoraineStorage", "MoraineFormat", "MoraineFiles", "MoraineBytes",
            ]
        ),
        tests("StoreTests", ["Moraine", "MoraineStorage", "MoraineFiles"]),
        tests(
            "CrashTests",
            [
                "MoraineSimulation", "MoraineSalvage", "MoraineEngine", "MoraineStorage",
                "MoraineFormat", "MoraineFiles", "Moraine",
            ]
        ),
        tests(
            "ToolTests",
            [
                "MoraineSimulation", "moraine-cli", "Moraine", "MoraineFilters", "MoraineVectors",
                "MoraineStorage", "MoraineFormat", "MoraineFiles", "MoraineBytes", "MoraineJSON",
                "CKernels",
            ]
        ),
        tests("TidyTests", []),
    ]
)
