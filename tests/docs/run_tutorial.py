#!/usr/bin/env python3
"""run_tutorial.py ROOT CMAKE BUILD: follows docs/tutorial.md to the letter, with agate installed into an empty folder.

Blocks that are named are written to files of that name, `sh` blocks are run. Where torch is missing, the digits model of the
project stands in for the export. A tutorial whose commands fail, or print nothing, fails.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

root, cmake, build = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]


def python_with_torch():
    """The first python3 that can export; Debian's, where another stands in front of it."""
    for python in filter(None, ["/usr/bin/python3", shutil.which("python3")]):
        code = "import torch, onnx"
        if os.path.exists(python) and subprocess.run([python, "-c", code], capture_output=True).returncode == 0:
            return python
    return None


def follow(work):
    python = python_with_torch()
    there = work / "there"
    subprocess.run([cmake, "--install", build, "--prefix", there], check=True, stdout=subprocess.DEVNULL)
    package = next(there.rglob("agate.pc")).parent
    tools = work / "tools"
    tools.mkdir()
    if python:
        (tools / "python3").symlink_to(python)
    path = [str(tools), str(there / "bin"), os.environ["PATH"]]
    environment = dict(os.environ, PATH=":".join(path), PKG_CONFIG_PATH=str(package), LD_LIBRARY_PATH=str(package.parent))
    ran = 0
    for kind, name, body in re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```", (root / "docs/tutorial.md").read_text(), re.M | re.S):
        if name:
            (work / name).write_text(body)
        if kind != "sh":
            continue
        for command in body.strip().split("\n"):
            if command.startswith("python3") and not python:
                print(f"no torch: the digits model stands in for `{command}`")
                shutil.copy(root / "tools/models/digits/digits.onnx", work / "model.onnx")
                continue
            done = subprocess.run(["sh", "-ec", command], cwd=work, env=environment, capture_output=True, text=True)
            print(f"$ {command}: {len(done.stdout)} characters")
            quiet = command.startswith(("cc ", "python3 "))
            if done.returncode or not (done.stdout or quiet or "--output-dir" in command):
                print(done.stdout, done.stderr, sep="\n")
                sys.exit(f"`{command}` fails, or says nothing")
            ran += 1
    if ran < 5:
        sys.exit("the tutorial has hardly a command")


with tempfile.TemporaryDirectory() as folder:
    follow(pathlib.Path(folder))
