#!/bin/sh
# Kernel by kernel against the reference.
. "$(dirname "$0")/lib.sh"
model=$digits/digits.onnx

expect 0 compare "$model"
says "$out" '^errors are isolated' ' ok .*direct_conv' ' 0 past the tolerance'
expect 0 compare "$model" --accumulated --batch 3 --isa avx2 --threads 1
says "$out" '^errors are accumulated' ' 0 past the tolerance'
expect 0 compare "$model" --json --isa sse2
says "$out" '"errors": "isolated"' '"first_past": null' '"max_ulp": [0-9]' '"within": true'

# What is allowed by name, on one thread and on two.
for isa in sse2 avx2 avx512; do
    for threads in 1 2; do
        expect 0 compare "$model" --allow winograd --batch 3 --isa $isa --threads $threads
        says "$out" ' ok .*winograd oc=' ' 0 past the tolerance'
    done
done
expect 2 compare "$model" --allow nothing
says "$err" 'there is no "nothing" to allow, but: winograd'

# Products of bf16 and f16 against the same, widened, by reference.
for isa in sse2 avx2 avx512; do
    for precision in bf16 f16; do
        expect 0 compare "$model" --precision $precision --batch 3 --isa $isa
        says "$out" ' 0 past the tolerance'
    done
done
expect 0 compare "$model" --precision bf16 --threads 2
says "$out" ' 0 past the tolerance'
# Single nodes of another precision: the wider one has no product of pairs.
node=/blocks/blocks.0/conv1/Conv
expect 0 compare "$model" --precision bf16 --node-precision $node=f32 --isa avx512
says "$out" ' 0 past the tolerance'
expect 0 dump "$model" --stage scheduled --isa avx2 --node-precision $node=bf16
[ "$(grep -c ': bf16.*{oihw' "$out")" = 1 ] || die "not one convolution of bf16"
expect 0 dump "$model" --stage scheduled --isa avx2 --precision bf16
[ "$(grep -c ': bf16.*{oihw' "$out")" -gt 1 ] || die "no convolutions of bf16"
expect 0 dump "$model" --stage scheduled --precision bf16 --node-precision $node=f16
[ "$(grep -c ': f16.*{oihw' "$out")" = 1 ] || die "not one convolution of f16"
expect 0 compare "$model" --precision f32x3 --isa avx2
says "$out" ' ok .*direct_conv' ' 0 past the tolerance'
says "$err" '^agate: --precision f32x3: avx2 has no AMX, without which f32 is faster: computed in f32$'
expect 2 compare "$model" --node-precision $node
says "$err" '"/blocks/blocks.0/conv1/Conv" is not NODE=P'
expect 2 compare "$model" --node-precision $node=f32,=bf16
says "$err" '"=bf16" is not NODE=P'
expect 2 compare "$model" --node-precision $node=fp8
says "$err" 'no precision "fp8": one of f32, f32x6, f32x3, f16, bf16'
expect 1 compare "$model" --node-precision conv9=bf16
says "$err" 'the model has no node "conv9" to give a precision: agate dump --origins names them'
expect 2 compare "$model" --precision fp8
says "$err" 'no precision "fp8": one of f32, f32x6, f32x3, f16, bf16'

# Rounding differs somewhere in nine convolutions.
expect 1 compare "$model" --rtol 0 --atol 0
says "$out" ' PAST ' '^the first one: ' 'elements)$'
says "$err" 'past the tolerance'
expect 1 compare "$model" --rtol 0 --atol 0 --json
says "$out" '"first_past": "' '"within": false' '"elements_past": [1-9]'
cat >"$work/two.agt" <<'END'
graph @two(%x: f32[N,3]) -> (f32[N,3], f32[N,3]) {
  %0 = relu %x : f32[N,3] from "a/node/whose/name/is/longer/than/the/column/of/the/table/Relu"
  %1 = neg %0 : f32[N,3]
  return %0, %1
}
END
expect 0 compare "$work/two.agt"
says "$out" '  a/node/.*\.\.\. (result 0)$' '  a/node/.*\.\.\. (result 1)$'
expect 0 compare "$work/double.agt"
expect 0 compare "$work/same.agt"
says "$out" '^0 results'

expect 1 compare "$work/nothing.onnx"
expect 1 compare "$model" --input "nobody=$work/x.npy"
expect 2 compare "$model" --input x=photo.png
expect 2 compare "$model" --rtol -1
expect 2 compare
exit 0
