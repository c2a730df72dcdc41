#!/bin/sh
# Every stage and format; the switches of the passes; text that parses back.
. "$(dirname "$0")/lib.sh"
model=$digits/digits.onnx

for stage in import canonical fused scheduled planned; do
    expect 0 dump "$model" --stage $stage
    says "$out" '^graph @'
    cp "$out" "$work/$stage.agt"
    # What prints, parses, and prints as it was.
    expect 0 dump "$work/$stage.agt" --stage import
    same "$out" "$work/$stage.agt"
done
says "$work/fused.agt" 'kernel(' 'yield'
says "$work/planned.agt" 'slab\['
expect 0 dump "$model"
same "$out" "$work/planned.agt"

expect 0 dump "$model" --remarks
says "$err" 'winograd refused: it is not allowed (--allow winograd)'
expect 0 dump "$model" --remarks --allow winograd
says "$out" 'winograd<'
says "$err" 'as F(4x4,3x3) it would take' 'winograd refused: the stride is not 1'
expect 0 dump "$model" --remarks --precision bf16
says "$out" 'cast .* to=bf16' ': bf16\[.*{oihw[0-9]*i[0-9]*o2i}'
says "$err" 'narrow: .*stays f32: no convolution reads it'

expect 0 dump "$model" --stage llvm
says "$out" '^define '
expect 0 dump "$model" --stage asm --isa avx2
says "$out" 'ymm'

expect 0 dump "$model" --stage fused --format dot
says "$out" '^digraph "[^\\]*" {$' ' -> ' 'label="%[0-9a-z.]* = [^"]*\\l}'
expect 0 dump "$model" --stage planned --format json
says "$out" '"nodes"' '"strategy"' '"place"'

expect 0 dump "$model" --print-after all
says "$out" '^; after canonicalize' '^; after plan-memory'
expect 0 dump "$model" --print-after fuse-epilogue --diff
says "$out" '^; after fuse-epilogue' '^+ ' '^- '
expect 0 dump "$model" --stage fused --skip fuse-epilogue,outline
grep -q 'kernel(' "$out" && die "skipped passes made kernels"
expect 0 dump "$model" --stage canonical --fuel 1
cp "$out" "$work/unfueled"
expect 0 dump "$model" --stage canonical --fuel 2
cmp -s "$out" "$work/unfueled" && die "one rewrite changed nothing"
expect 0 dump "$model" --remarks --time-passes --verify-each
says "$err" '^remark: schedule: [1-9][0-9]*x .* refused: ' ' %  import$' ' %  schedule$' ' 100.0 %  in all$'
[ "$(grep -c '^remark: ' "$err")" -lt 20 ] || die "a long summary"
expect 0 dump "$model" --remarks-all
says "$err" '^remark: schedule: %' '^remark: [a-z-]*: .*: rewrite: ' \
    'the slab takes [1-9][0-9]* bytes for a batch of 1; what lives at once comes to [1-9][0-9]* at most'
[ "$(grep -c '^remark: ' "$err")" -gt 20 ] || die "a list that is no longer than its summary"
expect 0 dump "$model" --stage import --origins
says "$out" ' from "'

printf 'graph @x(%%a: f32[2]) -> f32[2] {\n  %%b = nonsense %%a : f32[2]\n  return %%b\n}\n' >"$work/bad.agt"
expect 1 dump "$work/bad.agt"
says "$err" 'bad.agt' '2'
expect 1 dump "$work/nothing.onnx"
expect 1 dump "$digits/labels.txt"

# A pass is summed up, and what it did not touch keeps its number.
expect 0 dump "$digits/digits.onnx" --diff --isa avx512
says "$out" '^; after fold-affine: 9 fold into conv$' '^\.\.\. and [0-9]* more changed lines'
[ "$(wc -l <"$out")" -lt 300 ] || die "a long difference"
expect 0 dump "$digits/digits.onnx" --print-after fold-affine --diff-all
[ "$(grep -c '^- .* = relu' "$out")" -eq "$(grep -c '^+ .* = relu' "$out")" ] || die "relus came or went"
exit 0
