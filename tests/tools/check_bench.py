#!/usr/bin/env python3
"""The benchmark as a tool; no time is looked at:  check_bench.py AGATE LIBRARY

Small runs with whatever peers are installed (PyTorch, which takes its time, in one cell), and with three of ours: one that
answers wrongly, which must not be timed; one that declines; one that ends. What is written must be whole, and fit into
README.md and docs/.
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

AGATE, LIBRARY = sys.argv[1:3]
ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = ROOT / "tools" / "bench"
MODEL = ROOT / "tools" / "models" / "digits" / "digits.onnx"
PEER = """#!/usr/bin/python3
import os, sys
sys.path.insert(0, {bench!r})
import numpy as np
import peer_loop

class Peer:
    def hello(self):
        return dict(version='1.0')

    def load(self, model, threads, arrays, dims):
        {load}
        self.batch = len(next(iter(arrays.values())))
        return 0.001

    def run(self):
        pass

    def answers(self):
        return dict(logits=np.zeros((self.batch, 10), np.float32))

peer_loop.serve(Peer())
"""
BODIES = {"wrong": "pass", "declining": "raise peer_loop.Unsupported('an operator')", "ending": "os._exit(3)"}
faults = []


def expect(condition, what):
    if not condition:
        faults.append(what)


def bench(out, *words):
    command = [BENCH / "bench.py", MODEL, "--agate", AGATE, "--library", LIBRARY, "--output-dir", out, "--rounds", "2",
               "--seconds", "0.02", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if not (out / "bench.json").exists():
        sys.exit(f"check_bench: nothing written\n{done.stdout}{done.stderr}")
    return done.returncode, json.loads((out / "bench.json").read_text())


def check_contents(result):
    expect(result["machine"]["cores_granted"] >= 1 and result["machine"]["cpu"], "the machine is not described")
    expect(len(result["load_average"]) == 2, "the load was not looked at before and after")
    for threads in ("1", "2"):
        rows = result["peaks"][threads]
        expect(len(rows) == 2 and all(r["gflops"] > 0 and r["gb_per_second"] > 0 for r in rows), "peaks are missing")
    where = [(cell["threads"], cell["batch"]) for cell in result["cells"]]
    expect(sorted(where) == [(1, 1), (1, 16), (2, 1), (2, 16)], f"other cells than asked for: {where}")
    for cell in result["cells"]:
        ours = cell["peers"]["agate"]
        expect(ours.get("runs", 0) >= 6 and len(ours.get("round_ms", [])) == 2, f"agate was not timed: {ours}")
        expect(0 < ours.get("min_ms", 0) <= ours.get("median_ms", 0) <= ours.get("p90_ms", 0), f"odd times: {ours}")
        expect(cell["flops"] == result["cells"][0]["flops"] * cell["batch"], "FLOPs do not follow the batch")
        for name, hello in result["peers"].items():
            known = cell["peers"].get(name, {})
            expect("missing" in hello or "median_ms" in known, f"{name} is there, but was not timed: {known}")


def check_files(out, result):
    text = (out / "bench.md").read_text()
    expect(text.count("\n| digits") == len(result["cells"]) + 1, "bench.md: a row per cell, and one for loading")
    expect(text.count("geometric mean") == len(result["cells"]), "bench.md: a mean per table")
    root = xml.etree.ElementTree.parse(out / "bench.svg").getroot()
    expect(root.tag.endswith("svg"), "bench.svg is no picture")


def check_publish(out, scratch):
    """Into copies of the pages, twice: the second time changes nothing."""
    (scratch / "docs").mkdir()
    for name in ("README.md", "docs/benchmark.md"):
        shutil.copy(ROOT / name, scratch / name)
    texts = []
    for _ in range(2):
        subprocess.run([BENCH / "report.py", out / "bench.json", "--publish", "--root", scratch], check=True)
        texts.append([(scratch / name).read_text() for name in ("README.md", "docs/benchmark.md", "docs/benchmark.svg")])
    readme, page, _ = texts[0]
    expect(texts[0] == texts[1], "publishing twice is not publishing once")
    expect("\n| digits" in readme and "\n| digits" in page, "the pages have no tables")


def check_bad_peers(out, folder):
    for name, load in BODIES.items():
        (folder / name).write_text(PEER.format(bench=str(BENCH), load=load))
        (folder / name).chmod(0o755)
    code, result = bench(out, "--peers", folder, "--batches", "3", "--threads", "1")
    peers = result["cells"][0]["peers"]
    expect("missing" in result["peers"]["pytorch"] or "median_ms" in peers["pytorch"], f"PyTorch: {peers.get('pytorch')}")
    expect(code == 1, f"a wrong answer ends with {code}")
    expect("median_ms" in peers["agate"], "agate was not timed beside bad peers")
    expect("values differ" in peers["wrong"].get("disagrees", ""), f"a wrong answer passed: {peers['wrong']}")
    expect("median_ms" not in peers["wrong"], "a wrong answer was timed")
    expect(peers["declining"].get("unsupported") == "an operator", f"{peers['declining']}")
    expect("ended with 3" in peers["ending"].get("error", ""), f"{peers['ending']}")
    text = (out / "bench.md").read_text()
    expect(text.count("\n* digits, batch 3, 1 thread: ") == 3, "bench.md does not say what was left out")


def main():
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        for name in ("good", "bad", "peers", "tree"):
            (scratch / name).mkdir()
        code, result = bench(scratch / "good", "--batches", "1,16", "--threads", "1,2", "--without", "pytorch")
        expect(code == 0, f"a good run ends with {code}")
        check_contents(result)
        check_files(scratch / "good", result)
        check_publish(scratch / "good", scratch / "tree")
        check_bad_peers(scratch / "bad", scratch / "peers")
    for fault in faults:
        print(f"check_bench: {fault}")
    print(f"{len(faults)} faults; peers: {', '.join(n for n, hello in result['peers'].items() if 'version' in hello)}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
