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
# Of several precisions it is f32 without asking, each with the answer that it has alone.
for precision in f32 bf16; do
    "$1" compile "$3" -o "$folder/$precision.so" --precision $precision
    "$2" "$folder/$precision.so" >"$folder/$precision.alone" 2>"$folder/err"
    grep -q "^with precision $precision\$" "$folder/err"
done
"$1" compile "$3" -o "$folder/both.so" --precision bf16,f32
"$2" "$folder/both.so" >"$folder/both" 2>/dev/null
cmp "$folder/both" "$folder/f32.alone"
for precision in f32 bf16; do
    "$2" "$folder/both.so" $precision >"$folder/both" 2>/dev/null
    cmp "$folder/both" "$folder/$precision.alone"
done
! cmp -s "$folder/f32.alone" "$folder/bf16.alone"
if "$2" "$folder/both.so" f32x9 2>"$folder/err"; then
    echo "a precision that is not there was found"
    exit 1
fi
grep -q 'not compiled with precision f32x9, but with f32, bf16' "$folder/err"
# On a CPU without the instructions, it names what is missing; what needs none runs.
if [ -n "${4-}" ]; then
    example=$2 emulator=$4
    # runs CPU FILE ISA: with the answer, to the last bit, of what is compiled for that alone; lacks CPU FILE WHY.
    runs() {
        "$emulator" -cpu "$1" "$example" "$folder/$2.so" >"$folder/emulated"
        [ "$(wc -l <"$folder/emulated")" -eq 5 ]
        if "$example" "$folder/$3.so" >"$folder/alone" 2>/dev/null; then
            cmp "$folder/emulated" "$folder/alone"
        fi
    }
    lacks() {
        if "$emulator" -cpu "$1" "$example" "$folder/$2.so" 2>"$folder/err"; then
            echo "$2 runs on $1, which cannot run it"
            exit 1
        fi
        grep -q "$3" "$folder/err"
    }
    for isa in sse4 avx2 avx512; do
        "$1" compile "$3" -o "$folder/$isa.so" --isa $isa
    done
    "$1" compile "$3" -o "$folder/vectors.so" --target x86-64-v3,x86-64-v4
    "$1" compile "$3" -o "$folder/all.so" --target x86-64-v2,x86-64-v3,x86-64-v4
    # The best that a CPU has is taken: Nehalem is x86-64-v2, Haswell -v3, Conroe less than both.
    runs Nehalem all sse4
    lacks Nehalem avx512 "compiled for avx512, and this CPU lacks AVX, AVX2, FMA"
    # Emulators before QEMU 7.2 know no AVX2.
    if "$emulator" -cpu Haswell "$example" "$folder/avx2.so" >/dev/null 2>&1; then
        runs Haswell all avx2
        lacks Haswell avx512 "compiled for avx512, and this CPU lacks AVX-512F"
    fi
    lacks Nehalem vectors "compiled for avx2, avx512, and this CPU lacks AVX, AVX2, FMA"
    lacks Conroe all "compiled for sse4, avx2, avx512, and this CPU lacks SSE4.1, SSE4.2, POPCNT"
fi
