"""Runs Moraine and its peers on one data set, one after the other, and writes the table.

Started by `run`, which installs the peers; every engine's phase is a process of its own.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile

import measure
import table

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = {"hnswlib": "hnswlib", "lancedb": "LanceDB", "qdrant": "Qdrant Edge", "zvec": "zvec"}
MODULES = {"hnswlib": "hnswlib", "lancedb": "lancedb", "qdrant": "qdrant_edge", "zvec": "zvec"}


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(16, f"run: {message}\n")


def arguments():
    parser = Parser(prog="run")
    parser.add_argument("data", metavar="DIR")
    parser.add_argument("--bench", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--out", metavar="FILE.md")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(["moraine", *PEERS]))
    parser.add_argument("--folder", default=".", help="where to make the stores")
    parser.add_argument("--timeout", type=int, default=7200, help="seconds for one phase")
    given = parser.parse_args()
    unknown = set(given.only.split(",")) - {"moraine", *PEERS}
    if unknown:
        parser.error(f"--only knows no {', '.join(sorted(unknown))}")
    if given.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return given


def say(text):
    print(text, file=sys.stderr, flush=True)


def one_core(command):
    """The command, kept on one core: engines with threads of their own have no other switch."""
    core = min(os.sched_getaffinity(0))
    return ["taskset", "-c", str(core), *command]


def run_peer(name, given, folder):
    """What a peer's two phases say, or why there is nothing."""
    program = [sys.executable, os.path.join(HERE, f"peer_{name}.py")]
    if subprocess.run(
        [sys.executable, "-c", f"import {MODULES[name]}"], capture_output=True, check=False
    ).returncode:
        return {"failure": "cannot be installed here"}
    store, result = os.path.join(folder, name), os.path.join(folder, f"{name}.json")
    os.mkdir(store)
    answer = {"name": PEERS[name]}

    def phase(*words, wrap=lambda command: command):
        command = wrap([*program, words[0], given.data, store, result, *map(str, words[1:])])
        with open(os.path.join(folder, "log"), "w+", encoding="utf-8") as log:
            try:
                subprocess.run(
                    command, check=True, stdout=log, stderr=log, timeout=given.timeout
                )
            except subprocess.CalledProcessError:
                log.seek(0)
                lines = log.read().strip().splitlines() or ["it said nothing"]
                raise RuntimeError(f"{words[0]}: {lines[-1][:200]}") from None
            except subprocess.TimeoutExpired:
                raise RuntimeError(f"{words[0]}: not done after {given.timeout} s") from None
        with open(result, encoding="utf-8") as file:
            return json.load(file)

    try:
        answer |= phase("build")
        found = phase("search", 1, given.rounds, wrap=one_core)
        answer |= found | {"curves": {1: found["curve"]}}
        answer["curves"][2] = phase("search", 2, given.rounds)["curve"]
    except RuntimeError as error:
        say(f"{name}: {error}")
        answer["failure"] = str(error)
    shutil.rmtree(store, ignore_errors=True)
    return answer


def run_moraine(given, folder):
    """The same of Moraine, from its own benchmarks."""
    store = os.path.join(folder, "moraine")

    def bench(name, *options):
        command = [given.bench, name, given.data, "--store", store, "--folder", folder, "--json"]
        output = subprocess.run(
            [*command, *options], check=True, stdout=subprocess.PIPE, timeout=given.timeout
        ).stdout
        return {figure["name"]: figure["median"] for figure in json.loads(output)["figures"]}

    def points(figures, pattern):
        matches = [(re.fullmatch(pattern, name), rate) for name, rate in figures.items()]
        return [[int(m[1]), float(m[2]), rate] for m, rate in matches if m]

    made = bench("search", "--rounds", "1", "--widths", "48")
    rounds = ("--rounds", str(given.rounds))
    searched = bench("search", *rounds)
    data = measure.DataSet(given.data)
    widths = ",".join(map(str, measure.FILTER_WIDTHS))
    filtered = bench("filter", *rounds, "--widths", widths) if data.filters else {}
    filters = {
        name: points(filtered, re.escape(name) + r", width (\d+), recall ([\d.]+)")
        for name in data.filters
    }
    revision = subprocess.run(
        ["git", "-C", HERE, "rev-parse", "--short", "HEAD"], capture_output=True, check=False
    ).stdout.decode()
    return {
        "name": "Moraine",
        "version": revision.strip() or "this folder",
        "settings": "defaults, one segment, codes and graph reopened from disk, all queries in one"
        " batch",
        "index_seconds": made["make index files, two threads"],
        "index_bytes": made["codes and graph"] * data.count,
        "import_seconds": data.count / made["load, merge and make index files"],
        "store_bytes": measure.tree_bytes(store),
        "memory": [
            searched["memory that no file backs, all queries searched"] * 2**20,
            searched["mapped pages, all queries searched"] * 2**20,
        ],
        "curves": {
            1: points(searched, r"width (\d+), recall ([\d.]+), one thread"),
            2: points(searched, r"width (\d+), recall ([\d.]+), two threads"),
        },
        "filters": filters,
    }


def machine():
    """What the run was done on."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return {
        "CPU": names[0] if names else platform.machine(),
        "Cores": str(len(os.sched_getaffinity(0))),
        "System": platform.platform(),
        "Python": platform.python_version(),
        "Load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def main():
    given = arguments()
    try:
        data = measure.DataSet(given.data)
        wrong = data.misjudged()
    except (OSError, KeyError, ValueError) as error:
        say(f"{given.data} is no data set: {error}")
        return 16
    if wrong:
        say(f"{given.data}: gt.f32 is wrong for {wrong} of 8 queries")
        return 16
    about = machine()
    answers = {}
    with tempfile.TemporaryDirectory(prefix="peers-", dir=given.folder) as folder:
        names = given.only.split(",")
        for name in names:
            say(f"== {name}")
            try:
                answers[name] = (
                    run_moraine(given, folder)
                    if name == "moraine"
                    else run_peer(name, given, folder)
                )
            except subprocess.SubprocessError as error:  # what went wrong stands above
                say(f"{name}: {error}")
                return 1
            answers[name].setdefault("name", PEERS.get(name, "Moraine"))
    text = table.text(data, about, list(answers.values()), given.rounds)
    if given.out:
        with open(given.out, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
