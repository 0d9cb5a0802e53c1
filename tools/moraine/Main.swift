@main
struct MoraineTool {
    static func main() {}
}
