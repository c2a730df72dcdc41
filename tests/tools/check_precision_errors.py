#!/usr/bin/python3
"""tools/oracle/precision_errors.py on the digits:  check_precision_errors.py AGATE

Its counts of made-up errors must be those that were made; what it says of f32 and bfloat16 must be what these allow, and all
values must be counted. Exits with 77 where there is no torch.
"""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "oracle" / "precision_errors.py"
MODEL = ROOT / "tools" / "models" / "digits" / "digits.onnx"
sys.path.insert(0, str(TOOL.parent))
faults = []

try:
    import numpy as np
    import onnx

    import precision_errors
except ImportError as error:
    print(f"SKIP: {error}")
    sys.exit(77)


def expect(condition, what):
    if not condition:
        faults.append(what)


def check_units():
    """An ULP of the value, or of the mean square's root: here some 1.01, which three of the values are below."""
    right = np.array([[1.5, -1.5], [0.0, 2.0**-30], [-0.25, 1.25]])
    expect((precision_errors.units(right) == 2.0**-23).all(), f"units of {right}: {precision_errors.units(right)}")
    expect(precision_errors.units(np.array([8.0, 0, 0, 0]))[0] == 2.0**-20, "a large value has its own unit")
    expect((precision_errors.units(np.zeros(3)) > 0).all(), "units of zeros")


def check_counts():
    right = np.full(8, 1.5)
    histogram = precision_errors.Histogram()
    histogram.add(right, right + 2.0**-23 * np.array([0, -0.5, 0.75, 1, -1.25, 4, 5000, 0]))
    shares = histogram.shares()
    expect(shares[:4] == [37.5, 25, 12.5, 12.5] and shares[-1] == 12.5 and sum(shares) == 100, f"shares: {shares}")
    expect(histogram.largest == 5000 and abs(histogram.rms() - (25000019.375 / 8)**0.5) < 1e-3, f"rms: {histogram.rms()}")


def check_copy():
    """Every convolution once, by names that files can have; the network itself stays."""
    model = onnx.load(MODEL)
    copy, names = precision_errors.with_convolutions(model)
    written = [node.output[0] for node in copy.graph.node if node.op_type == "Conv"]
    expect(written == names and len(set(names)) == 9, f"convolutions: {written} where {names} was expected")
    expect([value.name for value in copy.graph.output] == [value.name for value in model.graph.output] + names, "other outputs")
    expect(model == onnx.load(MODEL), "the network has changed")


def table(lines, title):
    """Of the rows behind the one that begins with `title`: the precision and the numbers."""
    begin = next((i for i, line in enumerate(lines) if line.startswith(f"| {title}")), len(lines))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[begin + 2:begin + 4]]
    return {row[0]: [float(cell or 0) for cell in row[1:]] for row in rows}


def check_run(agate):
    done = subprocess.run([TOOL, MODEL, "--agate", agate, "--precision", "f32,bf16", "--rows", "2"], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    expect(done.returncode == 0 and lines[:1] == ["digits: 9 convolutions, 131712 values"], f"{done.stdout}{done.stderr}")
    outputs, convolutions = table(lines, "outputs"), table(lines, "convolutions")
    if set(outputs) != {"f32", "bf16"} or set(convolutions) != {"f32", "bf16"}:
        faults.append(f"no tables in {done.stdout}")
        return
    expect(0 < outputs["f32"][1] <= outputs["f32"][0] < 1e-5 < outputs["bf16"][0] < 0.05, f"outputs: {outputs}")
    for precision, (tiles, rms, largest, *shares) in convolutions.items():
        expect(0 < rms < largest and abs(sum(shares) - 100) < 0.5, f"{precision}: rms {rms}, most {largest}, shares {shares}")
    expect(convolutions["f32"][1] < 10 and convolutions["f32"][-1] == 0, f"errors of f32: {convolutions['f32']}")
    expect(convolutions["bf16"][1] > 1000 and convolutions["bf16"][-1] > 10, f"errors of bf16: {convolutions['bf16']}")


check_units()
check_counts()
check_copy()
check_run(sys.argv[1])
for fault in faults:
    print(f"check_precision_errors: {fault}")
sys.exit(1 if faults else 0)
