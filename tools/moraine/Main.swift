// The process around the tool: its arguments, streams and signals.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

@main
struct Main {
    static func main() {
        holdStandardDescriptors()
        let signals = SignalCancellation.install()
        let error = DescriptorSink(2)
        guard let arguments = arguments() else {
            let text = "moraine: error: the command line is not UTF-8\n"
            _ = Array(text.utf8).withUnsafeBytes { error.write($0) }
            exit(ExitCode.usage.rawValue)
        }
        let code = Tool().run(
            arguments: arguments,
            environment: environment(),
            input: DescriptorSource(0, owns: false, wake: signals.wake, cancellation: signals),
            output: DescriptorSink(1),
            error: error,
            cancellation: signals,
            openInput: { path in
                InputFile.open(path).map { file in
                    let source = DescriptorSource(
                        file.descriptor,
                        owns: true,
                        wake: signals.wake,
                        cancellation: signals
                    )
                    return OpenedInput(source: source, byteCount: file.byteCount)
                }
            }
        )
        exit(code)
    }

    /// Opens what the caller has closed of standard input, output and error.
    ///
    /// Else a file of the store would get the number, and what is printed would go there. What is
    /// opened can only be used the other way round: reading and printing fail as they would have.
    private static func holdStandardDescriptors() {
        for descriptor: Int32 in 0...2 where fcntl(descriptor, F_GETFD) == -1 {
            _ = open("/dev/null", descriptor == 0 ? O_WRONLY : O_RDONLY)
        }
    }

    /// The arguments; `nil` when one is not UTF-8, which would become another name or id.
    private static func arguments() -> [String]? {
        var arguments: [String] = []
        for index in 1..<max(1, Int(CommandLine.argc)) {
            guard let bytes = CommandLine.unsafeArgv[index],
                let text = String(validatingCString: bytes)
            else { return nil }
            arguments.append(text)
        }
        return arguments
    }

    private static func environment() -> [String: String] {
        var values: [String: String] = [:]
        for name in Tool.environmentNames {
            if let value = getenv(name) { values[name] = String(cString: value) }
        }
        return values
    }
}
