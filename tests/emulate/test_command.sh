#!/bin/sh
# Is run as `test_command.sh AGATE ROOT "" AGATE_AMX`: the command on a CPU with AMX, as agate-amx has it, and on this one.
. "$(dirname "$0")/../cli/lib.sh"
with_amx=$4
plain=$agate
isa=avx512+avx512bf16+amx-tile+amx-bf16

[ -n "$(command -v ld)" ] || { echo "SKIP AMX: there is no ld"; exit 77; }
agate=$with_amx
expect 0 compile "$digits/digits.onnx" -o "$work/bf16.so" --precision bf16
expect 0 info "$work/bf16.so"
grep -q '^  avx512+avx512bf16' "$out" || { echo "SKIP AMX: this CPU lacks AVX512-BF16"; exit 77; }
# What the driver adds is what precision asks for, and is called as targets call it.
says "$out" "^  $isa  bf16 .* of code\$" "kernels for $isa with precision bf16, "
expect 0 compile "$digits/digits.onnx" -o "$work/f32.so"
expect 0 info "$work/f32.so"
says "$out" '^  avx512  '
expect 0 compile "$digits/digits.onnx" -o "$work/strict.so" --precision bf16 --isa avx512
expect 0 info "$work/strict.so"
says "$out" '^  avx512  '
expect 0 compile "$digits/digits.onnx" -o "$work/named.so" --precision bf16 --target "$isa"
same "$work/bf16.so" "$work/named.so"

expect 0 run "$work/bf16.so" "$digits/drawn-5.png" --preprocess digits --labels "$digits/labels.txt"
says "$out" '%  5$'
# Of a value that is kept in parts, the sum is compared; one file holds all precisions.
for precision in bf16 f32x3 f32x6; do
    expect 0 compare "$digits/digits.onnx" --precision $precision --batch 2
    says "$out" ' ok .*amx_conv .*shortcut.0' '^11 results of kernels, 0 past the tolerance'
done
# Convolutions of f16 are those of f32x3, and so says the command.
for precision in f16 f32x3; do
    expect 0 run "$digits/digits.onnx" --seed 5 --precision $precision --output-dir "$work/$precision"
done
same "$work/f16/logits.npy" "$work/f32x3/logits.npy"
expect 0 compare "$digits/digits.onnx" --precision f16
says "$out" ' ok .*amx_conv .*products=3' ' ok .*gemm' ' 0 past the tolerance'
says "$err" "^agate: --precision f16: $isa has AMX, with which f32x3 is faster and more exact: convolutions are that\$"
expect 0 compile "$digits/digits.onnx" -o "$work/all.so" --precision f32,f32x6,f32x3,f16,bf16
for precision in f32 f32x6 f32x3 f16 bf16; do
    expect 0 run "$work/all.so" "$digits/drawn-5.png" --preprocess digits --labels "$digits/labels.txt" --precision $precision
    says "$out" '%  5$'
done
# The peak is that of tiles, of which f32x3 takes three products for one; strict f32 has none.
awk 'BEGIN {
    print "graph @one(%x: f32[N,32,8,8]) -> f32[N,32,8,8] {"
    printf "  %%w = const [0"
    for (i = 1; i < 9 * 32 * 32; i++)
        printf ", %d", i % 7 - 3
    print "] : f32[32,32,3,3]\n  %0 = conv %x, %w pads=[1, 1, 1, 1] : f32[N,32,8,8]\n  return %0\n}"
}' >"$work/one.agt"
bench() {
    expect 0 bench "$work/one.agt" --iterations 1 --threads 1 --profile "$@"
}
bench --precision f32x3
says "$out" ' [1-9][0-9.]* GFLOP/s (bf16 in pairs), [0-9.]* GFLOP/s (bf16 in tiles), ' '%  amx_conv .* products=3 '
bench --precision f32x6 --json
says "$out" '"peak_pair_gflops": ' '"peak_tile_gflops": [0-9.]*[1-9]' '"label": "amx_conv<.*, products=6, '
bench --json
says "$out" '"peak_gflops": ' '"label": "direct_conv<'
! grep -q 'peak_tile_gflops\|peak_pair_gflops' "$out" || die "a peak of other products"
# 78 positions in rows of 10 are 5 tiles, by 2 of filters, at 9 taps; the weights of 3 blocks of tiles come once.
if ! grep -q amx_tile /proc/cpuinfo; then
    AGATE_AMX_COUNT=1 "$agate" run "$work/one.agt" --precision bf16 --threads 1 >"$out" 2>"$err"
    says "$err" '^amx: products 90, inputs 720 [0-9]* [0-9]* [0-9]*, weights 864 288 288 288$'
fi
# A CPU that lacks it says so; one file may serve both.
expect 0 compile "$digits/digits.onnx" -o "$work/both.so" --precision bf16 --target "x86-64-v4,$isa"
agate=$plain
expect 0 compile "$digits/digits.onnx" -o "$work/plain.so" --precision bf16
expect 0 info "$work/plain.so"
grep -q "^  $isa " "$out" && exit 0
says "$out" '^  avx512+avx512bf16  '
expect 0 info "$work/bf16.so"
says "$out" "^  $isa  bf16 .*; \(this CPU lacks\|the system refuses this process\) AMX tiles, AMX BF16\$"
expect 1 run "$work/bf16.so"
says "$err" "compiled for $isa with precision bf16, and \(this CPU lacks\|the system refuses this process\) AMX tiles, AMX BF16; compile it for a lower isa"
expect 0 run "$work/both.so" --seed 3
