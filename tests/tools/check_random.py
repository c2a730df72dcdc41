#!/usr/bin/python3
"""Random graphs, kernel by kernel against the reference kernels:  check_random.py AGATE AGATE_AMX [COUNT]

COUNT networks of images and as many graphs of tensors of any rank and type: in f32 and bfloat16, for this CPU and for AVX2, in
batches, and in tiles where AGATE_AMX has AMX. Exits with 77 where there is no onnx to write them with.
"""
import pathlib
import subprocess
import sys
import tempfile

WRITERS = pathlib.Path(__file__).resolve().parents[2] / "tools" / "models"
HOST, TILES = 1, 2  # places of the programs among the arguments
NETWORK_WAYS = ((HOST,), (HOST, "--isa", "avx2"), (HOST, "--precision", "bf16"), (HOST, "--batch", "3", "--allow", "winograd"),
                (TILES, "--precision", "bf16", "--batch", "2"))
TENSOR_WAYS = ((HOST,), (HOST, "--isa", "avx2"), (HOST, "--isa", "sse2"), (TILES, "--precision", "bf16"))
FREE_WAYS = ((HOST, "--batch", "3"), (HOST, "--isa", "avx2", "--batch", "2"))


def network_ways(seed):
    return NETWORK_WAYS


def tensor_ways(seed):
    return TENSOR_WAYS + (FREE_WAYS if seed % 2 else ())  # the batch of odd seeds is free


def compared(program, words, model):
    """None, or what was said of what went wrong."""
    done = subprocess.run([program, "compare", *words, model], capture_output=True, text=True, timeout=600)
    if done.returncode == 0:
        return None
    past = [line for line in done.stdout.splitlines() if " PAST " in line]
    return "\n".join([f"exit {done.returncode}", *past, *done.stderr.strip().splitlines()[-3:]])


def check(writer, ways_of, count):
    """How many of the graphs that a writer makes went wrong, in how many comparisons."""
    faults = comparisons = 0
    with tempfile.TemporaryDirectory() as folder:
        written = subprocess.run([sys.executable, WRITERS / writer, "--output-dir", folder, "--count", str(count), "--nodes", "60"],
                                 capture_output=True, text=True)
        if "No module named" in written.stderr:
            print("SKIP:", written.stderr.splitlines()[-1])
            sys.exit(77)
        models = sorted(pathlib.Path(folder).glob("*.onnx"))
        if written.returncode != 0 or len(models) != count:
            sys.exit(f"FAIL: {writer} wrote {len(models)} of {count} graphs\n{written.stderr}")
        for model in models:
            for place, *words in ways_of(int(model.stem.split("_")[-1])):
                comparisons += 1
                fault = compared(sys.argv[place], words, model)
                if fault:
                    print(f"FAIL: {model.stem} {' '.join(words)}: {fault}")
                    faults += 1
    print(f"{writer}: {len(models)} graphs, {comparisons} comparisons, {faults} faults")
    return faults


def main():
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 24
    faults = check("random_networks.py", network_ways, count) + check("random_tensors.py", tensor_ways, count)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
