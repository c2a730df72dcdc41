#!/bin/sh
# What a model is, and what its kernels are.
. "$(dirname "$0")/lib.sh"

expect 0 info "$digits/digits.onnx" --isa avx512
says "$out" '^  image: f32\[N,1,28,28\]$' '^  logits: f32\[N,10\]$' '^parameters  *[1-9][0-9]*$' '^weights .* KiB$' \
    '^  packed .* KiB$' '^work .*FLOP per row' '^slab .*B per row' '^  *9  conv$' 'kernels for avx512' 'direct_conv'
expect 0 info "$digits/digits.onnx" --json --isa avx2
says "$out" '"isa": "avx2"' '"conv": 9' '"parameters": [1-9]' '"per_row": [1-9]' '"not_in_vectors": \[' '"N"'

# What only the library does is said, with the reason.
cat >"$work/gather.agt" <<'END'
graph @gather(%x: f32[5,3], %i: i64[2]) -> f32[2,3] {
  %0 = gather %x, %i axis=0 : f32[2,3]
  return %0
}
END
expect 0 info "$work/gather.agt"
says "$out" '^not in vectors$' '(gather) by its reference kernel: .*refused'

# Of a compiled file, whatever it is for.
if command -v ld >/dev/null; then
    expect 0 compile "$digits/digits.onnx" -o "$work/digits.so" --target x86-64,x86-64-v4+amx-int8
    expect 0 info "$work/digits.so" --isa avx512+amx-tile+amx-int8
    says "$out" '^  image: f32\[N,1,28,28\]$' '^  logits: f32\[N,10\]$' '^packed .*B' '^work .*FLOP per row' \
        '^slab .*B per row' '^  sse2 .* f32 .* of weights' '^  avx512+amx-tile+amx-int8' 'kernels for avx512+amx' 'direct_conv'
    expect 0 info "$work/digits.so" --json --isa sse2
    says "$out" '"isa": "sse2"' '"precision": "f32"' '"precisions": \[' '"code_bytes": [1-9]' '"runs_here": true' '"per_row": [1-9]' '"N"' '"direct_conv": [1-9]'
    expect 0 compile "$digits/digits.onnx" -o "$work/allowed.so" --allow winograd
    expect 0 info "$work/allowed.so"
    says "$out" '^workspace .*B per thread' ' winograd$'
    expect 1 run "$work/allowed.so" --allow winograd
    says "$err" 'is compiled already'
    expect 1 info "$work/digits.so" --isa avx2
    says "$err" 'it was not compiled for avx2, but for sse2, avx512'
    head -c 5000 "$work/digits.so" >"$work/cut.so"
    expect 1 info "$work/cut.so"
    says "$err" 'cut off'
fi

expect 1 info "$work/nothing.onnx"
expect 2 info
exit 0
