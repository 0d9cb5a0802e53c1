// moraine map: a picture of a store.

import MoraineStorage

extension Command {
    static let map = Command(
        "map",
        "draw a picture of a store",
        positionals: [Positional("STORE", "the folder of the store")],
        options: [
            Option("--out", "FILE", "write the SVG there in place of standard output"), .timeout,
        ],
        notes: [
            """
            An SVG: segments in their tiers with their files to scale and the share of dead rows,
            logs and other files, and how segments came and went as the manifest tells it. Reads
            ROOT, the manifest and the lengths of files, no document. A file that is missing, or
            has another length than the manifest says, is drawn in red, and the exit code is 4.
            Rest the pointer on a part to read what it is.
            """
        ],
        examples: [
            ("moraine map notes.moraine --out map.svg", "then open map.svg in a browser"),
            ("moraine map notes.moraine | rsvg-convert -o map.png", "as a PNG"),
        ],
        run: { call throws(Failure) in
            try call.timed { limit throws(Failure) in
                let store = try InspectedStore(call, limit)
                let map = try StoreMap(store)
                try engineCall { () throws(StoreError) in try limit?.check() }
                try call.withOutput { output throws(Failure) in
                    var drawing = MapDrawing(map)
                    output.write(drawing.draw())
                }
                return store.exit
            }
        }
    )
}
