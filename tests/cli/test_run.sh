#!/bin/sh
# Photos, tensors and seeds into models; and input that is no good.
. "$(dirname "$0")/lib.sh"
model=$digits/digits.onnx
labels=$digits/labels.txt
photo=$digits/drawn-2.png
name=$("$agate" dump "$model" --stage import | sed -n 's/^graph @[^(]*(%\([^:]*\):.*/\1/p' | tr -d '"')

# The best class of each photo, alone and in a batch.
expect 0 run "$model" "$photo" --preprocess digits --labels "$labels"
says "$out" 'probabilities' ' %  2$'
expect 0 run "$model" "$digits/drawn-0.png" "$photo" --preprocess digits --labels "$labels"
says "$out" 'drawn-0.png: ' 'drawn-2.png: ' ' %  0$' ' %  2$'
cp "$out" "$work/batch"
expect 0 run "$model" "$digits/drawn-0.png" "$photo" --preprocess digits --labels "$labels" --batch 1 --threads 1
same "$out" "$work/batch"

# A photo's tensor, written and read back, gives the same answer as the photo.
expect 0 run "$work/same.agt" "$photo" --preprocess digits --output-dir "$work/tensors"
tensor=$(ls "$work"/tensors/*.npy)
expect 0 run "$model" "$photo" --preprocess digits --output-dir "$work/a"
expect 0 run "$model" --input "$name=$tensor" --output-dir "$work/b"
expect 0 run "$model" "$tensor" --output-dir "$work/c"
for file in "$work"/a/*.npy; do
    same "$file" "$work/b/$(basename "$file")"
    same "$file" "$work/c/$(basename "$file")"
done
# Several runs write several files.
expect 0 run "$work/same.agt" "$photo" "$photo" "$photo" --preprocess digits --batch 2 --output-dir "$work/two"
[ "$(ls "$work/two" | wc -l)" -eq 2 ] || die "two runs wrote $(ls "$work/two")"

# Models from pipes, with a name or without, and through the cache; each is read once.
expect 0 run "$model"
cp "$out" "$work/from-file"
mkfifo "$work/pipe"
for cache in none "$work/piped" "$work/piped"; do
    cat "$model" | "$agate" run /dev/stdin --cache "$cache" >"$out" 2>"$err" || die "/dev/stdin, cache $cache"
    same "$out" "$work/from-file"
    cat "$model" >"$work/pipe" &
    timeout 60 "$agate" run "$work/pipe" --cache "$cache" >"$out" 2>"$err" || die "a pipe, cache $cache"
    wait $! || die "whoever wrote to the pipe was cut off"
    same "$out" "$work/from-file"
done

# Names come from the file: a terminal is not to obey them.
escape=$(printf '\033')
sed "s/logits/log${escape}ts/g" "$model" >"$work/escape.onnx"
expect 0 compile "$work/escape.onnx" -o "$work/escape.so"
for command in 'run escape.onnx' 'run escape.so' 'info escape.onnx' 'info escape.so' 'dump --format dot escape.onnx' \
    "run --labels $labels escape.onnx" 'bench --iterations 1 escape.so'; do
    (cd "$work" && "$agate" $command) >"$out" 2>"$err" || die "agate $command"
    grep -q "$escape" "$out" "$err" && die "agate $command: a terminal would obey it"
done
says "$out" 'escape.so'
expect 0 run "$work/escape.onnx"
says "$out" '^"log?ts" f32'
sed "s/image/im${escape}ge/g" "$model" >"$work/escape.onnx"
expect 1 run "$work/escape.onnx" --input x=x.npy
says "$err" 'no input "x", but "im?ge"'

# Outputs without a name have a number.
expect 0 run "$work/double.agt" --output-dir "$work/unnamed"
[ -f "$work/unnamed/output0.npy" ] || die "an output without a name: $(ls "$work/unnamed")"

# Seeds; the reference kernels.
expect 0 run "$work/double.agt" --seed 1
cp "$out" "$work/seed1"
expect 0 run "$work/double.agt" --seed 1 --reference
same "$out" "$work/seed1"
expect 0 run "$work/double.agt" --seed 2
cmp -s "$out" "$work/seed1" && die "two seeds gave the same numbers"
expect 0 run "$work/double.agt" --batch 5
says "$out" 'f32\[5,3\]'

# Models that are none.
expect 1 run "$work/nothing.onnx"
says "$err" 'nothing.onnx'
expect 1 run "$work"
echo 'Once upon a time' >"$work/text.onnx"
expect 1 run "$work/text.onnx"
: >"$work/empty.onnx"
expect 1 run "$work/empty.onnx"
head -c 1000 "$model" >"$work/short.onnx"
expect 1 run "$work/short.onnx"
echo 'graph @x(' >"$work/bad.agt"
expect 1 run "$work/bad.agt"

# Photos that are none.
expect 1 run "$model" "$photo"
says "$err" '--preprocess'
expect 1 run "$model" "$work/nothing.png" --preprocess digits
says "$err" 'nothing.png'
expect 1 run "$model" "$labels" --preprocess digits
says "$err" 'labels.txt'
head -c 700 "$photo" >"$work/short.png"
expect 1 run "$model" "$work/short.png" --preprocess digits
expect 1 run "$model" "$photo" --preprocess imagenet
expect 1 run "$work/double.agt" "$photo" --preprocess digits

# Tensors that do not fit, or are damaged.
expect 1 run "$model" "$tensor" "$tensor"
says "$err" 'too many'
expect 1 run "$model" --input "nobody=$tensor"
says "$err" 'nobody' "$name"
expect 2 run "$model" --input "$tensor"
expect 1 run "$work/double.agt" "$tensor"
head -c 300 "$tensor" >"$work/short.npy"
expect 1 run "$model" "$work/short.npy"
head -c 40 "$tensor" >"$work/head.npy"
expect 1 run "$model" "$work/head.npy"
sed 's/(1, 1, 28, 28,)/(1, 9, 9999999)/' "$tensor" >"$work/huge.npy"
expect 1 run "$model" "$work/huge.npy"
sed 's/<f4/<c8/' "$tensor" >"$work/complex.npy"
expect 1 run "$model" "$work/complex.npy"
echo 'no tensor' >"$work/text.pb"
expect 1 run "$model" "$work/text.pb"
expect 1 run "$model" "$tensor" --batch 3
sed 's/N/1/g' "$work/double.agt" >"$work/fixed.agt"
expect 0 run "$work/fixed.agt" --batch 1
expect 0 run "$work/fixed.agt"
expect 1 run "$work/fixed.agt" --batch 5
says "$err" '--batch 5: the first dimension of this model.s inputs is fixed otherwise'

# Labels and folders that do not fit.
expect 1 run "$model" "$tensor" --labels "$work/nothing.txt"
printf 'one\ntwo\n' >"$work/two.txt"
expect 1 run "$model" "$tensor" --labels "$work/two.txt"
expect 1 run "$model" "$tensor" --output-dir "$labels"

# Nearly all of the time from file to session has a name.
expect 0 run "$digits/digits.onnx" --time-passes
says "$err" ' %  read$' ' %  import$' ' %  fold-affine ' ' %  kernels and weights$' "LLVM's code generation" ' %  link$' \
    ' %  session$'
awk '$NF == "other" { found = 1; if ($3 > 5) exit 1 } END { exit !found }' "$err" || die "time without a name"

exit 0
