#!/usr/bin/env python3
"""lint.py ROOT: what the architecture promises and a compiler does not check. Prints FILE:LINE: FAULT; exits 1 if any.

  arrows     which folder's headers a folder may include
  length     files under 600 lines, functions under 60
  width      C lines of 110 columns, IR in comments apart
  machine    no path of the machine that somebody worked on
  duty       a source file opens with a comment that says what it is for
"""
import pathlib
import re
import subprocess
import sys

# Arrows point one way. `runtime` ships alone: it sees nothing above it.
ARROWS = {
    "runtime/base": ["runtime/base", "runtime/agate.h"],
    "runtime/ref": ["runtime/base", "runtime/ref", "runtime/agate.h"],
    "runtime": ["runtime"],
    "ir": ["ir", "runtime/base", "runtime/ref", "runtime/agate.h"],
    "frontend": ["frontend", "ir", "runtime/base", "runtime/ref", "runtime/agate.h", "onnx.pb-c.h"],
    "passes": ["passes", "ir", "runtime/base", "runtime/ref", "runtime/agate.h"],
    "backend": ["backend", "ir", "runtime/base", "runtime/ref", "runtime/agate.h"],
}
MOST_FILE_LINES = 600
MOST_FUNCTION_LINES = 60
MOST_COLUMNS = 110
MACHINE = re.compile(r"(?<![\w.])/(?:work|root|home/\w+|tmp/(?:wt|ort|team))/")
INCLUDE = re.compile(r'#\s*include\s+"([^"]+)"')


def tracked(root):
    """Text files that belong to the project."""
    names = subprocess.run(["git", "-C", root, "ls-files", "-z"], check=True, capture_output=True).stdout
    for name in names.decode().split("\0"):
        path = pathlib.Path(root, name)
        if name and path.is_file():
            try:
                yield name, path.read_text(encoding="utf-8").split("\n")
            except UnicodeDecodeError:
                pass


def folder_of(name):
    """The row of ARROWS that a file falls under; None for tools and tests, which may include anything."""
    folders = [folder for folder in ARROWS if name.startswith(folder + "/")]
    return max(folders, key=len, default=None)


def arrows(name, lines):
    folder = folder_of(name)
    for number, line in enumerate(lines, 1):
        include = INCLUDE.match(line)
        if not folder or not include:
            continue
        target = include.group(1)
        if not any(target == allowed or target.startswith(allowed + "/") for allowed in ARROWS[folder]):
            yield number, f"{folder} must not include {target}"


def length(name, lines):
    if not name.endswith((".c", ".h", ".def", ".py", ".sh", ".js")):
        return
    if len(lines) > MOST_FILE_LINES:
        yield len(lines), f"{len(lines)} lines, at most {MOST_FILE_LINES}"
    start = None
    for number, line in enumerate(lines, 1):
        if name.endswith(".c") and line == "{":
            start = number
        elif start and line.startswith("}"):
            if number - start > MOST_FUNCTION_LINES:
                yield start, f"a function of {number - start} lines, at most {MOST_FUNCTION_LINES}"
            start = None


def width(name, lines):
    if not name.endswith((".c", ".h")):
        return
    for number, line in enumerate(lines, 1):
        if len(line) > MOST_COLUMNS and not line.startswith(" *     %"):
            yield number, f"{len(line)} columns, at most {MOST_COLUMNS}"


def machine(name, lines):
    if name == "tests/lint/lint.py":
        return
    for number, line in enumerate(lines, 1):
        if MACHINE.search(line):
            yield number, "a path of somebody's machine"


def duty(name, lines):
    if not name.endswith((".c", ".h", ".def")):
        return
    first = 1 if lines[0].startswith("/* links:") else 0
    own = pathlib.PurePath(name).name
    if not lines[first].startswith("/* ") or own.split(".")[0].replace("_", "-") not in lines[first].replace("_", "-"):
        yield first + 1, f"must open with a comment that names {own} and says its duty"


def main():
    root, faults = sys.argv[1], 0
    for name, lines in tracked(root):
        for check in (arrows, length, width, machine, duty):
            for number, fault in check(name, lines):
                print(f"{name}:{number}: {fault}")
                faults += 1
    print(f"{faults} faults")
    sys.exit(faults > 0)


main()
