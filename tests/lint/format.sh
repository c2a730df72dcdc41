#!/bin/sh
# format.sh ROOT: every C file is as clang-format makes it. Exits 77 (skipped) where clang-format 14 is not installed:
# other versions format otherwise.
cd "$1" || exit 2
format=$(command -v clang-format-14) || { echo "SKIP: clang-format-14 is not installed"; exit 77; }
git ls-files -z '*.c' '*.h' | xargs -0 "$format" --dry-run -Werror
