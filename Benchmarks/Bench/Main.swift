@main
struct MoraineBench {
    static func main() {}
}
