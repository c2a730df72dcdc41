#!/bin/sh
# check_compiled.sh AGATE EXAMPLE MODEL [EMULATOR]: what AGATE compiles from MODEL runs in a program without a compiler.
# EMULATOR is qemu-x86_64; without it, nothing is tried on lesser CPUs.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$1" compile "$3" -o "$folder/model.so"
"$2" "$folder/model.so" | tee "$folder/out"
[ "$(wc -l <"$folder/out")" -eq 5 ]
# Without a slash in its name, too.
(cd "$folder" && "$2" model.so >again && cmp out again)
# What is no compiled model says so.
refused() {
    if "$1" "$2" 2>"$folder/err"; then
        echo "$2 was taken for a compiled model"
        exit 1
    fi
    grep -q "$3" "$folder/err"
}
refused "$2" "$3" "this is no compiled model"
refused "$2" "$2" "example_compiled: .*the file is cut off, or no compiled model"
# On a CPU without the instructions, it names what is missing; what needs none runs.
if [ -n "${4-}" ]; then
    for isa in sse2 avx2 avx512; do
        "$1" compile "$3" -o "$folder/$isa.so" --isa $isa
    done
    "$4" -cpu Nehalem "$2" "$folder/sse2.so" >"$folder/emulated"
    [ "$(wc -l <"$folder/emulated")" -eq 5 ]
    for isa in avx2 avx512; do
        if "$4" -cpu Nehalem "$2" "$folder/$isa.so" 2>"$folder/err"; then
            echo "$isa runs on a CPU without it"
            exit 1
        fi
        grep -q "compiled for $isa, and this CPU lacks AVX" "$folder/err"
    done
fi
