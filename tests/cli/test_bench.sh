#!/bin/sh
# The report, its JSON, and the profile.
. "$(dirname "$0")/lib.sh"
model=$digits/digits.onnx

expect 0 bench "$model" --iterations 5 --threads 1
says "$out" 'median .*5 runs' 'GFLOP/s' 'compile' 'slab'
expect 0 bench "$model" --seconds 0.1 --batch 3 --isa avx2 --profile
says "$out" 'avx2' 'batch 3' 'share' 'direct_conv oc=' '  stem[a-z0-9./]*/Conv+BatchNormalization+Relu$'
[ "$(grep '% ' "$out" | grep -v ' of ' | awk 'length > 130' | wc -l)" -eq 0 ] || die "a wide table"
expect 0 bench "$model" --iterations 5 --json --profile
says "$out" '"median_ms": [0-9]' '"min_ms": ' '"p90_ms": ' '"p99_ms": ' '"gflops": ' '"compile_ms": ' \
    '"peak_rss_bytes": [1-9]' '"slab_bytes": [1-9]' '"iterations": 5' '"profile": \[' '"origin": '

expect 0 bench "$model" --iterations 5 --profile --trace "$work/trace.json" --threads 1
says "$out" '^peaks measured in this run: [1-9][0-9.]* GFLOP/s .* [0-9.]* GB/s' ' roof '
says "$work/trace.json" '"traceEvents": \[' '"ph": "X"' '"dur": ' '"name": "/stem'
# Before anything is timed, and without a trace of what was not measured.
expect 1 bench "$model" --iterations 5 --trace "$work/no/such/folder.json"
says "$err" 'cannot be written: No such file'
[ ! -s "$out" ] || die "measured first"
expect 1 bench "$work/nothing.onnx" --trace "$work/new.json"
[ ! -e "$work/new.json" ] || die "an empty trace"
cp "$work/trace.json" "$work/old.json"
expect 1 bench "$work/nothing.onnx" --trace "$work/old.json"
same "$work/trace.json" "$work/old.json"
expect 0 bench "$model" --iterations 5 --trace "$work/old.json" --threads 1
[ "$(grep -c '"traceEvents"' "$work/old.json")" -eq 1 ] || die "two traces in one file"
expect 1 bench "$work/nothing.onnx"
expect 2 bench "$model" --input x=photo.png
expect 1 bench "$model" --input "nobody=$work/x.npy"
exit 0
