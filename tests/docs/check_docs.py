#!/usr/bin/env python3
"""check_docs.py ROOT AGATE: what docs/ says is there.

  verbs      every verb and option that docs/ and README.md write exists in --help
  ops        docs/ir.md has every op and strategy of the tables, and no others
  api        docs/api.md has every function of agate.h, and nothing that is not there
"""
import pathlib
import re
import subprocess
import sys

ROOT, AGATE = pathlib.Path(sys.argv[1]), sys.argv[2]
faults = []


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def help_of(verb):
    done = subprocess.run([AGATE, verb, "--help"] if verb else [AGATE, "--help"], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def options_of(text):
    return set(re.findall(r"(?<![\w-])--([a-z][a-z-]*)", text))


def commands(text):
    """Each `agate VERB ...` of code blocks and of code in a line, cut at pipes and ends of command."""
    code = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S) + re.findall(r"^ {4}(.*)$", text, re.M)
    for line in "\n".join(code + re.findall(r"`([^`\n]+)`", text)).split("\n"):
        for part in re.split(r"[|;#&>]", line):
            words = part.replace("$ ", "").split()
            if words and pathlib.PurePath(words[0]).name == "agate" and len(words) > 1:
                yield words[1], " ".join(words[2:])


def check_shared(name, options, told):
    """A row of an option that several verbs have tells all of them."""
    for verb in set(re.findall(r"^  ([a-z]+) ", help_of(None), re.M)) - {"help", "version"} - told:
        for option in options & options_of(help_of(verb).split("Exit codes:")[0]):
            faults.append(f"{name}: --{option}: agate {verb} has it, too")


def check_verbs(name):
    known = {}
    text = read(name)
    wanted = list(commands(text))
    # Sections of the reference: "## agate VERB", with options in the first column of tables.
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        verb = re.match(r"agate (\w+)", section)
        rows = re.findall(r"^\| (`--.*?) \|", section, re.M)
        if verb:
            wanted += [(verb.group(1), row) for row in rows]
        elif section.startswith("Options"):
            for row, verbs in re.findall(r"^\| (`--[^|]*) \| ([a-z, ]+) \|", section, re.M):
                wanted += [(other, row) for other in verbs.split(", ")]
                check_shared(name, options_of(row), set(verbs.split(", ")))
    for verb, rest in wanted:
        if verb in ("help", "version", "VERB") or not re.fullmatch(r"[a-z]+", verb):
            continue
        if verb not in known:
            known[verb] = help_of(verb)
        if known[verb] is None:
            faults.append(f"{name}: there is no agate {verb}")
            continue
        for option in options_of(rest) - options_of(known[verb]) - {"help"}:
            faults.append(f"{name}: agate {verb} has no --{option}")
    return len(wanted)


def check_ir():
    text = read("docs/ir.md")
    rows = {}
    for title, name, pattern in [
            ("Scalar ops", "runtime/base/scalar.def", r"^AGATE_SCALAR\(\s*(\w+)"),
            ("Other ops", "ir/ops.def", r'^AGATE_OP\(\s*\w+,\s*"(\w+)"'),
            ("Strategies", "ir/strategies.def", r"^AGATE_STRATEGY\(\s*(\w+)")]:
        section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.M | re.S).group(1)
        told = {op for row in re.findall(r"^\| (`[^|]*) \|", section, re.M) for op in re.findall(r"`(\w+)`", row)}
        rows[title] = set(re.findall(pattern, read(name), re.M))
        for op in sorted(rows[title] - told):
            faults.append(f'docs/ir.md: "{title}" lacks `{op}` of {name}')
        for op in sorted(told - rows[title]):
            faults.append(f'docs/ir.md: "{title}" has `{op}`, which is not in {name}')
    return sum(map(len, rows.values()))


def check_api():
    header, text = read("runtime/agate.h"), read("docs/api.md")
    functions = set(re.findall(r"AGATE_API[^;(]*[ *](agate_\w+)\(", header))
    words = set(re.findall(r"\b(?:agate|AGATE)_\w+", text))
    there = set(re.findall(r"\b(?:agate|AGATE)_\w+", header))
    for function in sorted(functions - words):
        faults.append(f"docs/api.md: lacks {function}")
    for word in sorted(words - there):
        faults.append(f"docs/api.md: {word} is not in agate.h")
    return len(functions)


counts = [sum(check_verbs(str(path.relative_to(ROOT))) for path in [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]),
          check_ir(), check_api()]
for fault in faults:
    print(fault)
if min(counts) == 0:
    faults.append("nothing was found to check")
print("%d commands, %d ops and strategies, %d functions; %d faults" % (*counts, len(faults)))
sys.exit(bool(faults))
