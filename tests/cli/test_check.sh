#!/bin/sh
# What is fine, what is not, and why.
. "$(dirname "$0")/lib.sh"

expect 0 check "$digits/digits.onnx"
says "$out" '^  *[1-9][0-9]*  Conv$' 'nodes: .* 0 faulty$' 'can be compiled'
expect 0 check "$digits/digits.onnx" --json
says "$out" '"compiles": true' '"faulty": 0' '"Conv": [1-9]' '"faults": \[\]'
expect 0 check "$work/double.agt"

# Two bytes of the ONNX file changed: a Relu that no operator set has.
sed 's/Relu/Relv/g' "$digits/digits.onnx" >"$work/broken.onnx"
expect 1 check "$work/broken.onnx"
says "$err" 'broken.onnx: [1-9][0-9]* fault'
says "$out" '^Relv: unsupported: this operator' '^  what would help: ' '^  [1-9][0-9]* nodes:$' '^    ".*" (f32\[N,.*) \[ai.onnx [0-9]*\]$' \
    'not examined' 'cannot be compiled'
expect 1 check "$work/broken.onnx" --json
says "$out" '"compiles": false' '"op": "Relv"' '"domain": "ai.onnx"' '"types": "f32' '"reason": "this operator' \
    '"not_examined": [1-9]' '"help": "[a-z]'

# Weights have types even where nothing takes them.
sed 's/Gemm/Gemn/g' "$digits/digits.onnx" >"$work/broken.onnx"
expect 1 check "$work/broken.onnx"
says "$out" '^    ".*" (f32\[N,[0-9]*\], f32\[[0-9]*,[0-9]*\], f32\[[0-9]*\]) \['
expect 1 check "$work/nothing.onnx"
head -c 1000 "$digits/digits.onnx" >"$work/cut.onnx"
expect 1 check "$work/cut.onnx"
expect 2 check
exit 0
