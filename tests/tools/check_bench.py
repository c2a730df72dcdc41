#!/usr/bin/env python3
"""The benchmark as a tool; no time is looked at:  check_bench.py AGATE LIBRARY

Small runs with whatever peers are installed (PyTorch, which takes its time, is only greeted), and with some of ours: two that
answer wrongly, one of which claims to multiply bfloat16, which must not be timed; one that declines; one that ends; one
that is slow and must not be asked. Where torch is there to tell, the errors of the others must be what f32 and bfloat16
allow. What is written must be whole, and fit into README.md and docs/.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

AGATE, LIBRARY = sys.argv[1:3]
ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = ROOT / "tools" / "bench"
sys.path.insert(0, str(BENCH))

import results

MODEL = ROOT / "tools" / "models" / "digits" / "digits.onnx"
PEER = """#!/usr/bin/python3
import os, sys
sys.path.insert(0, {bench!r})
import numpy as np
import peer_loop

class Peer:
    def hello(self):
        return dict(version='1.0'{words})

    def load(self, model, threads, arrays, dims):
        {load}
        self.batch = len(next(iter(arrays.values())))
        return 0.001

    def take(self, arrays):
        pass

    def run(self):
        pass

    def answers(self):
        return dict(logits=np.zeros((self.batch, 10), np.float32))

peer_loop.serve(Peer())
"""
BODIES = {"wrong": "pass", "narrow": "pass", "six": "pass", "slow": "pass", "declining": "raise peer_loop.Unsupported('an operator')",
          "ending": "os._exit(3)"}
TORCH = ("pytorch", "pytorch_bf16")
TILES = ("agate_f32x6", "agate_f32x3")
SLOW = ("agate_winograd", *TILES, "agate_f16", "agate_bf16")
F32_ERROR, ERRORS = 1e-5, {"bf16": (1e-5, 0.05), "f16": (1e-6, 0.05 / 8), "f32x3": (0, 2e-4), "f32x6": (0, 1e-5)}
# bench.py runs by the system's Python.
FIND_TORCH = "from importlib.util import find_spec; print(all(map(find_spec, ('torch', 'onnx'))))"
HAS_TORCH = subprocess.run(["/usr/bin/python3", "-c", FIND_TORCH], capture_output=True, text=True).stdout == "True\n"
PUBLISHED = ["README.md", "docs/benchmark.md", "docs/benchmark.svg"] + ["docs/speed_error.svg"] * HAS_TORCH
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
        expect(len(rows) == 2 and all(r["gflops"] > 0 and r["pair_gflops"] >= 0 and r["gb_per_second"] > 0 for r in rows), "peaks are missing")
    where = [(cell["threads"], cell["batch"]) for cell in result["cells"]]
    expect(sorted(where) == [(1, 1), (1, 16), (2, 1), (2, 16)], f"other cells than asked for: {where}")
    for cell in result["cells"]:
        ours = cell["peers"]["agate"]
        expect(ours.get("runs", 0) >= 4 and len(ours.get("round_ms", [])) == 2, f"agate was not timed: {ours}")
        expect(0 < ours.get("min_ms", 0) <= ours.get("median_ms", 0) <= ours.get("p90_ms", 0), f"odd times: {ours}")
        expect(cell["flops"] == result["cells"][0]["flops"] * cell["batch"], "FLOPs do not follow the batch")
        for name, hello in result["peers"].items():
            known, slow = cell["peers"].get(name, {}), name in SLOW and cell is not result["cells"][0]
            expect(not (slow and known), f"{name} is slow and was asked")
            expect("missing" in hello or slow or "median_ms" in known, f"{name} is there, but was not timed: {known}")


def check_errors(result):
    """The first cell has them, of eight rows."""
    first, *rest = result["cells"]
    expect(not any("accuracy" in r for cell in rest for r in cell["peers"].values()), "errors are measured more than once")
    for name, known in first["peers"].items():
        found = known.get("accuracy", {})
        low, high = ERRORS.get(result["peers"][name].get("products"), (0, F32_ERROR))
        expect(low < found.get("max", 0) < high and 0 < found.get("rms", 0) <= found["max"], f"errors of {name}: {found}")
        expect((found.get("rows"), found.get("top1")) == (8, 8) and 0 <= found["top5"] <= 8, f"classes of {name}: {found}")


def check_files(out, result):
    text = (out / "bench.md").read_text()
    more = 1 + HAS_TORCH
    expect(text.count("\n| digits") == len(result["cells"]) + more, "bench.md: a row per cell, one for loading, one for errors")
    expect(text.count("\n| geometric mean") == len(result["cells"]), "bench.md: a mean per table")
    expect(text.count("\n| agate in bf16 | 1 |") == 1, "bench.md: no summary of agate in bf16")
    for name in ["bench.svg"] + ["speed_error.svg"] * HAS_TORCH:
        root = xml.etree.ElementTree.parse(out / name).getroot()
        expect(root.tag.endswith("svg"), f"{name} is no picture")


def check_publish(out, scratch):
    """Into copies of the pages, twice: the second time changes nothing."""
    (scratch / "docs").mkdir()
    for name in ("README.md", "docs/benchmark.md"):
        shutil.copy(ROOT / name, scratch / name)
    texts = []
    for _ in range(2):
        subprocess.run([BENCH / "report.py", out / "bench.json", "--publish", "--root", scratch], check=True)
        texts.append([(scratch / name).read_text() for name in PUBLISHED])
    readme, page, *_ = texts[0]
    expect(texts[0] == texts[1], "publishing twice is not publishing once")
    expect("\n| digits" in readme and "\n| digits" in page, "the pages have no tables")
    if HAS_TORCH:
        expect("(docs/speed_error.svg)" in readme and "(speed_error.svg)" in page, "the pages lack the plot")
    again = scratch / "again.json"
    later = json.loads((out / "bench.json").read_text()) | {"when": "another day", "commit": "abc"}
    again.write_text(json.dumps(later))
    subprocess.run([BENCH / "report.py", out / "bench.json", "--again", again, "--output-dir", scratch], check=True)
    text = (scratch / "bench.md").read_text()
    expect("\ndigits: measured in a run of another day, commit abc.\n" in text, "nothing says what was measured anew")
    expect(text.count("\n| digits") == page.count("\n| digits"), "what was measured anew stands beside what was before")


def check_bad_peers(out, folder):
    for name, load in BODIES.items():
        products = dict(narrow="bf16", six="f32x6").get(name)
        words = f", products={products!r}" if products else ""
        (folder / name).write_text(PEER.format(bench=str(BENCH), load=load, words=words))
        (folder / name).chmod(0o755)
    code, result = bench(out, "--peers", folder, "--batches", "3,1", "--threads", "1", "--no-float64", "--thorough", "--slow",
                         "slow", *SLOW, *TORCH, "--without", "onnxruntime")
    peers = result["cells"][0]["peers"]
    for name in TORCH:
        expect(set(result["peers"][name]) & {"version", "missing"}, f"{name} does not answer hello: {result['peers'][name]}")
    expect("values differ" in peers["six"].get("disagrees", ""), f"f32x6 has a tolerance of its own: {peers['six']}")
    expect(len(result["cells"]) == 1 and "slow" in result["peers"] and "slow" not in peers, "a slow peer was asked")
    expect(not any("accuracy" in known for known in peers.values()), "errors were measured that nobody wanted")
    expect(code == 1, f"a wrong answer ends with {code}")
    expect("median_ms" in peers["agate"], "agate was not timed beside bad peers")
    expect("values differ" in peers["wrong"].get("disagrees", ""), f"a wrong answer passed: {peers['wrong']}")
    expect("allowed" in peers["narrow"].get("disagrees", ""), f"a wrong answer of bfloat16 passed: {peers['narrow']}")
    expect("median_ms" not in peers["wrong"] and "median_ms" not in peers["narrow"], "a wrong answer was timed")
    expect(peers["declining"].get("unsupported") == "an operator", f"{peers['declining']}")
    expect("ended with 3" in peers["ending"].get("error", ""), f"{peers['ending']}")
    text = (out / "bench.md").read_text()
    expect(text.count("\n* digits, batch 3, 1 thread: ") == 5, "bench.md does not say what was left out")


def hello(name, **environment):
    done = subprocess.run([BENCH / "peers" / name], input='{"do": "hello"}\n', capture_output=True, text=True,
                          env=os.environ | dict(AGATE_LIBRARY=LIBRARY) | environment)
    return json.loads(done.stdout)


def check_tile_peers():
    """Where there is no AMX, and below its level, there is nothing to time."""
    flags = next((line.split() for line in open("/proc/cpuinfo") if line.startswith("flags")), [])
    for name in TILES:
        said = hello(name + ".sh")
        expect("AMX" in said.get("missing", "") or {"amx_bf16", "amx_tile"} <= set(flags), f"{name} without AMX: {said}")
        expect("missing" in said or said.get("products") == name[len("agate_"):], f"{name} is no other precision: {said}")
        expect("AMX" in hello(name + ".sh", AGATE_ISA="avx512").get("missing", ""), f"{name} on AVX-512 is there")


def check_peaks():
    """A peer is next to the peak of what it multiplies with, of several measurements the highest."""
    rows = [dict(gflops=100, pair_gflops=200, tile_gflops=1200, gb_per_second=20),
            dict(gflops=110, pair_gflops=190, tile_gflops=1100, gb_per_second=20)]
    words = dict(agate={}, agate_bf16="bf16", agate_f32x3="f32x3", agate_f32x6="f32x6", agate_f16="f16")
    result = dict(peers={name: dict(products=p) if p else {} for name, p in words.items()},
                  peaks={"1": rows, "2": [row | dict(tile_gflops=0) for row in rows]})
    for threads, peaks in ((1, (110, 1200, 400, 200, 400)), (2, (110, 200, 110, 110, 110))):
        found = tuple(results.peak(result, threads, name) for name in words)
        expect(found == peaks, f"peaks of {list(words)}: {found} where {peaks} was expected")


def check_compile_time(out):
    subprocess.run(["/usr/bin/python3", BENCH / "compile_time.py", "--agate", AGATE, "--output-dir", out, "--repeat", "1",
                    "--most-nodes", "63"], check=True, stdout=subprocess.DEVNULL)
    curves = json.loads((out / "compile_time.json").read_text())["curves"]
    passes = [set(row["passes"]) for rows in curves.values() for row in rows]
    expect(passes and all({"import", "cse", "schedule"} <= names for names in passes), f"compile_time's passes: {passes}")
    expect(not any("in" in names for names in passes), "compile_time takes the whole for a pass")


ONEDNN = """#!/bin/sh
while read -r line; do
    case $line in go) echo 4.5 ;; *) echo "$line" >>{lines} ;; esac
done
"""


def convolutions(*words):
    return subprocess.run(["/usr/bin/python3", BENCH / "convolutions.py", MODEL, "--agate", AGATE, "--rounds", "1", "--seconds",
                           "0.01", *words], capture_output=True, text=True)


def check_convolutions(folder):
    """A program in oneDNN's place is given the model's convolutions; the real one, where it was built, takes them."""
    program, lines = folder / "onednn", folder / "lines"
    program.write_text(ONEDNN.format(lines=lines))
    program.chmod(0o755)
    run = convolutions("--onednn", program, "--batch", "3")
    expect(run.returncode == 0 and "| digits | " in run.stdout and " | 4.50 | " in run.stdout, f"convolutions: {run}")
    first = "3 1 1 28 28 16 28 28 3 3 1 1 1 1 1 1 1 1"
    expect(lines.read_text().splitlines()[0] == first, f"convolutions of digits: {lines.read_text()}")
    program.write_text("#!/bin/sh\necho 'onednn: not today' >&2\nexit 1\n")
    run = convolutions("--onednn", program)
    expect(run.returncode == 1 and run.stderr == "convolutions: onednn: not today\n", f"onednn that ends: {run}")
    run = convolutions("--onednn", folder / "nowhere")
    expect(run.returncode == 1 and "install libdnnl-dev" in run.stderr, f"no onednn: {run}")
    built = pathlib.Path(AGATE).parent / "onednn"
    if built.exists():
        run = convolutions("--onednn", built)
        expect(run.returncode == 0 and "| digits | " in run.stdout, f"oneDNN: {run}")


def check_folder(file):
    """A file where the folder should be is one line, at once."""
    file.write_text("not a folder")
    for program in ("bench.py", "compile_time.py")[:1 + HAS_TORCH]:
        run = subprocess.run(["/usr/bin/python3", BENCH / program, "--output-dir", file], capture_output=True, text=True)
        expect(run.returncode == 1 and run.stderr.count("\n") == 1 and "File exists" in run.stderr,
               f"{program} into a file: {run.returncode}, {run.stderr}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        for name in ("good", "bad", "peers", "tree"):
            (scratch / name).mkdir()
        code, result = bench(scratch / "good", "--batches", "1,16", "--threads", "1,2", "--without", *TORCH, "--thorough",
                             "digits", "--slow", *SLOW)
        expect(code == 0, f"a good run ends with {code}")
        check_contents(result)
        if HAS_TORCH:
            check_errors(result)
        check_files(scratch / "good", result)
        check_publish(scratch / "good", scratch / "tree")
        check_folder(scratch / "file")
        check_convolutions(scratch)
        check_tile_peers()
        check_peaks()
        check_bad_peers(scratch / "bad", scratch / "peers")
        if HAS_TORCH:  # and with it what draws and what writes ONNX
            check_compile_time(scratch / "good")
    for fault in faults:
        print(f"check_bench: {fault}")
    print(f"{len(faults)} faults; peers: {', '.join(n for n, hello in result['peers'].items() if 'version' in hello)}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
