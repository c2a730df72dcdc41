#!/bin/sh
# Tuning: what it prints, and that what it keeps is found. test_tune has the rest: bits, tables, damage.
. "$(dirname "$0")/lib.sh"
command -v ld >/dev/null || command -v ld.lld >/dev/null || command -v cc >/dev/null || {
    echo "skipped: no linker"
    exit 77
}
AGATE_CACHE_DIR=$work/cache
export AGATE_CACHE_DIR
model=$digits/digits.onnx

expect 0 tune "$model" --seconds 0 --sweeps 1 --threads 1
says "$out" 'planned [0-9.]* ms, tuned [0-9.]* ms (medians), [0-9]* of 1[0-9] kernels changed in [0-9]* comparisons$'
[ ! -s "$err" ] || die "progress where nobody watches"
if ls "$work/cache"/*.tuned >/dev/null 2>&1; then
    says "$out" '^kept in '
    expect 0 compile "$model" -o "$work/digits.so" --tuned
    [ ! -s "$err" ] || die "the tiles were not found"
else
    says "$out" '^the planned tiles stay'
    expect 0 compile "$model" -o "$work/digits.so" --tuned
    says "$err" 'agate tune has found none'
fi
expect 0 run "$model" --seed 5 --cache none
cp "$out" "$work/wanted"
expect 0 run "$model" --seed 5
same "$out" "$work/wanted"
expect 0 run "$work/digits.so" --seed 5
same "$out" "$work/wanted"
cat "$model" | "$agate" compile - -o "$work/piped.so" --tuned 2>"$err" || die "a pipe"
same "$work/piped.so" "$work/digits.so"
expect 0 compile "$model" -o "$work/digits.so" --tuned --isa sse2
says "$err" 'compiled with the planned tiles: agate tune has found none'

expect 0 cache clear
says "$out" 'removed [1-9][0-9]* files'
[ -z "$(find "$work/cache" -type f)" ] || die "something is left"

expect 2 tune
expect 2 tune "$model" --cache none
says "$err" 'no cache is in use'
expect 2 tune "$model" --seconds -1
expect 2 compile "$model" -o "$work/digits.so" --tuned --cache none
expect 1 tune "$work/nothing.onnx"
says "$err" 'nothing.onnx'
expect 1 tune "$work/nothing.onnx" --cache "$model" # known before anything is measured
says "$err" 'digits.onnx: it is no folder'
expect 1 tune "$work/digits.so"
says "$err" 'is compiled'
# What is read twice, to be tuned and to be known again, is no pipe.
code=0
"$agate" tune - <"$model" >"$out" 2>"$err" || code=$?
[ "$code" -eq 1 ] || die "standard input: exit code $code"
says "$err" 'standard input: this takes a regular file'
expect 2 tune "$model" --input picture=photo.jpg
exit 0
