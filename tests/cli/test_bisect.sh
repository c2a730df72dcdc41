#!/bin/sh
# Which rewrite changed a result. That a wrong one is found: tests/unit/test_bisect.c.
. "$(dirname "$0")/lib.sh"
model=$digits/digits.onnx

expect 0 bisect "$model"
says "$out" '[1-9][0-9]* rewrites, and the results are within the tolerance'
expect 0 bisect "$model" --compiled --isa avx2 --batch 2

# Rewrites round differently: one of them is the first to.
expect 1 bisect "$model" --rtol 0 --atol 0
says "$out" '^rewrite [0-9]* of [0-9]* breaks the result' '^pass     fold-affine' '^rewrite  ' '^node     %.* = ' '^[-] ' '^[+] '
says "$out" '^[0-9]* rewrites: past'
says "$err" 'past the tolerance'
expect 0 bisect "$model" --rtol 0 --atol 0 --skip lower-norm,fold-affine,fold-constants
expect 1 bisect "$model" --rtol 0 --atol 0 --skip lower-norm,fold-affine,fold-constants --compiled
says "$out" 'agate compare'

# What is read again for each trial is no pipe.
mkfifo "$work/pipe"
expect 1 bisect "$work/pipe"
says "$err" 'pipe: this takes a regular file'
expect 1 bisect -
says "$err" 'standard input: this takes a regular file'
expect 1 bisect "$work/nothing.onnx"
expect 1 bisect "$model" --input "nobody=$work/x.npy"
expect 2 bisect "$model" --skip nothing
expect 2 bisect "$model" --input x=photo.png
expect 2 bisect
exit 0
