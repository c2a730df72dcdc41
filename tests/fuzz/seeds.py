#!/usr/bin/env python3
"""seeds.py FILETESTS OUT: cuts the filetests into one graph per file, as seeds for fuzz_text; and OUT.dict, the words of
the language, for -dict."""
import pathlib
import re
import sys


def graphs(text):
    """Inputs and graphs that are expected, without the lines between them."""
    for case in text.split("; ----\n"):
        yield from case.split("; expect\n")


def words(text):
    return set(re.findall(r"[A-Za-z_][A-Za-z0-9_]+", text)) | set("%$@(){}[]<>=,:;\"\\")


def main():
    filetests, out = map(pathlib.Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    vocabulary, count = set(), 0
    for path in sorted(filetests.rglob("*.agt")):
        for graph in graphs(path.read_text(encoding="utf-8")):
            (out / f"{count:05}.agt").write_text(graph, encoding="utf-8")
            vocabulary |= words(graph)
            count += 1
    escaped = (word.replace("\\", "\\\\").replace('"', '\\"') for word in sorted(vocabulary) if len(word) < 24)
    out.with_suffix(".dict").write_text("".join(f'"{word}"\n' for word in escaped), encoding="utf-8")
    print(f"{count} seeds")


main()
