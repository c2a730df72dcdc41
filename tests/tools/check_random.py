#!/usr/bin/python3
"""Networks of random shapes, kernel by kernel against the reference kernels:  check_random.py AGATE AGATE_AMX [COUNT]

In f32 and bfloat16, for this CPU and for AVX2, and in tiles where AGATE_AMX has AMX. Exits with 77 where there is no onnx to
write networks with.
"""
import pathlib
import subprocess
import sys
import tempfile

WRITER = pathlib.Path(__file__).resolve().parents[2] / "tools" / "models" / "random_networks.py"
HOST, TILES = 1, 2  # places of the programs among the arguments
WAYS = ((HOST,), (HOST, "--isa", "avx2"), (HOST, "--precision", "bf16"), (HOST, "--batch", "3", "--allow", "winograd"),
        (TILES, "--precision", "bf16", "--batch", "2"))


def compared(program, words, model):
    """None, or what was said of what went wrong."""
    done = subprocess.run([program, "compare", *words, model], capture_output=True, text=True, timeout=600)
    if done.returncode == 0:
        return None
    past = [line for line in done.stdout.splitlines() if " PAST " in line]
    return "\n".join([f"exit {done.returncode}", *past, *done.stderr.strip().splitlines()[-3:]])


def main():
    count = sys.argv[3] if len(sys.argv) > 3 else "24"
    with tempfile.TemporaryDirectory() as folder:
        written = subprocess.run([sys.executable, WRITER, "--output-dir", folder, "--count", count, "--nodes", "60"],
                                 capture_output=True, text=True)
        if "No module named" in written.stderr:
            print("SKIP:", written.stderr.splitlines()[-1])
            sys.exit(77)
        models = sorted(pathlib.Path(folder).glob("*.onnx"))
        if written.returncode != 0 or len(models) != int(count):
            sys.exit(f"FAIL: {len(models)} of {count} networks written\n{written.stderr}")
        faults = 0
        for model in models:
            for place, *words in WAYS:
                fault = compared(sys.argv[place], words, model)
                if fault:
                    print(f"FAIL: {model.stem} {' '.join(words)}: {fault}")
                    faults += 1
    print(f"{len(models)} networks in {len(WAYS)} ways, {faults} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
