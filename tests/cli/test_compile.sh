#!/bin/sh
# Compiled files: the same answers, the same bytes, damage, other CPUs, other linkers.
. "$(dirname "$0")/lib.sh"
model=$digits/digits.onnx
so=$work/digits.so
command -v ld.lld >/dev/null || command -v ld >/dev/null || {
    echo "skipped: no linker"
    exit 77
}

# The same answer as the model, for any batch.
expect 0 compile "$model" -o "$so"
for batch in 1 3; do
    expect 0 run "$model" --batch $batch --seed 5
    cp "$out" "$work/wanted"
    expect 0 run "$so" --batch $batch --seed 5
    same "$out" "$work/wanted"
done
expect 0 bench "$so" --iterations 2
says "$out" 'median'
# Nothing is left behind; nothing is both written and run.
[ "$(ls "$work" | grep -c digits)" -eq 1 ] || die "left behind: $(ls "$work")"
if command -v readelf >/dev/null; then
    ! readelf -lW "$so" | grep -q 'RWE' || die "a segment is both written and run"
    readelf -sW "$so" | grep -q 'agate_artifact_v1' || die "no query symbol"
    # Debuggers and profilers know kernels by name.
    readelf -sW "$so" | grep -q 'FUNC.* direct_conv_' || die "no symbols of kernels"
fi
# So do they where the model is compiled as it is run: what the cache keeps is such a file.
if command -v gdb >/dev/null; then
    AGATE_CACHE_DIR=$work/cache gdb -q -nx -batch -ex 'break agate_session_run' -ex run -ex 'info functions ^direct_conv_' \
        --args "$agate" run "$model" >"$out" 2>"$err" </dev/null
    # A machine may forbid debugging.
    ! grep -q '^Breakpoint 1,\|hit Breakpoint 1' "$out" || says "$out" '^0x[0-9a-f]*  direct_conv_'
fi

# The same bytes from any place, by any number of threads.
mkdir "$work/elsewhere"
cp "$model" "$work/elsewhere/other.onnx"
(cd "$work/elsewhere" && "$agate" compile other.onnx --threads 1 -o other.so) || die "compile elsewhere"
same "$so" "$work/elsewhere/other.so"

# Weights of their own.
expect 0 compile "$model" --output "$work/apart.so" --weights external
expect 0 run "$work/apart.so" --batch 3 --seed 5
same "$out" "$work/wanted"
printf x | dd of="$work/apart.so.weights" bs=1 seek=1000 conv=notrunc 2>/dev/null
expect 1 run "$work/apart.so"
says "$err" 'these are not the weights of this model'
rm "$work/apart.so.weights"
expect 1 run "$work/apart.so"
says "$err" 'apart.so.weights: No such file'

# Steps of reference kernels, functions of the C library, and no weights at all.
cat >"$work/mixed.agt" <<'END'
graph @mixed(%x: f32[N,8]) -> (f32[N,8], i64[N,1]) {
  %0 = erf %x : f32[N,8]
  %1 = sin %0 : f32[N,8]
  %2 = arg_max %1 axis=1 : i64[N,1]
  return %1, %2
}
END
expect 0 run "$work/mixed.agt" --batch 4 --seed 3
cp "$out" "$work/wanted"
for weights in inside external; do
    expect 0 compile "$work/mixed.agt" -o "$work/mixed.so" --weights $weights
    expect 0 run "$work/mixed.so" --batch 4 --seed 3
    same "$out" "$work/wanted"
done

# A test folder with a compiled model.
if [ -n "$node_tests" ]; then
    cp -r "$node_tests/test_relu" "$work/folder"
    expect 0 compile "$work/folder/model.onnx" -o "$work/folder/model.so"
    rm "$work/folder/model.onnx"
    expect 0 test "$work/folder"
    says "$out" '1 passed'
fi

# Several instruction sets in one file: the best that this CPU has is taken, each computes what it computes alone.
expect 0 compile "$model" -o "$work/many.so" --target x86-64-v2,x86-64-v4 --target x86-64
expect 0 info "$work/many.so"
says "$out" '^  sse2  ' '^  sse4  ' '^  avx512  '
expect 0 compile "$model" -o "$work/again.so" --target x86-64-v4,sse4,sse2 --threads 1
same "$work/many.so" "$work/again.so"
expect 0 bench "$work/many.so" --iterations 1 --json
taken=$(sed -n 's/^ "isa": "\(.*\)",$/\1/p' "$out")
expect 0 compile "$model" -o "$work/one.so" --target "$taken"
expect 0 run "$work/one.so" --seed 5
cp "$out" "$work/alone"
expect 0 run "$work/many.so" --seed 5
same "$out" "$work/alone"
if command -v readelf >/dev/null; then
    # Each has kernels of its own.
    for isa in sse2 sse4 avx512; do
        readelf -sW "$work/many.so" | grep -q "direct_conv_.*_$isa\$" || die "no kernels for $isa"
    done
    # What is packed alike is there once: sse2 and sse4 have vectors of the same length.
    expect 0 compile "$model" -o "$work/two.so" --target x86-64,x86-64-v2
    expect 0 compile "$model" -o "$work/sse2.so" --target x86-64
    weights_of() {
        readelf -SW "$1" | sed -n 's/.*\.agate\.weights *PROGBITS *[0-9a-f]* *[0-9a-f]* *\([0-9a-f]*\) .*/\1/p'
    }
    [ -n "$(weights_of "$work/two.so")" ] && [ "$(weights_of "$work/two.so")" = "$(weights_of "$work/sse2.so")" ] ||
        die "weights are there twice: $(weights_of "$work/two.so") $(weights_of "$work/sse2.so")"
fi

# Several precisions in one file: f32 without asking, each with the bits of its own file, however they are asked for.
bytes_of() {
    wc -c <"$1"
}
for precision in f32 f16 bf16; do
    expect 0 compile "$model" -o "$work/$precision.so" --precision $precision
    expect 0 run "$work/$precision.so" --seed 5 --output-dir "$work/$precision"
done
cmp -s "$work/f32/logits.npy" "$work/bf16/logits.npy" && die "bf16 is f32"
cmp -s "$work/f32/logits.npy" "$work/f16/logits.npy" && die "f16 is f32"
cmp -s "$work/bf16/logits.npy" "$work/f16/logits.npy" && die "f16 is bf16"
expect 0 compile "$model" -o "$work/both.so" --precision bf16,f16 --precision f32
expect 0 compile "$model" -o "$work/again.so" --precision f32,f16,bf16 --threads 1
same "$work/both.so" "$work/again.so"
[ "$(bytes_of "$work/both.so")" -lt $(($(bytes_of "$work/f32.so") + $(bytes_of "$work/f16.so") + $(bytes_of "$work/bf16.so"))) ] ||
    die "nothing is shared: $(ls -l "$work"/*.so)"
expect 0 run "$work/both.so" --seed 5 --output-dir "$work/default"
same "$work/default/logits.npy" "$work/f32/logits.npy"
for precision in f32 f16 bf16; do
    expect 0 run "$work/both.so" --seed 5 --output-dir "$work/asked" --precision $precision
    same "$work/asked/logits.npy" "$work/$precision/logits.npy"
    expect 0 run "$work/$precision.so" --seed 5 --output-dir "$work/asked" --precision $precision
    same "$work/asked/logits.npy" "$work/$precision/logits.npy"
    expect 0 bench "$work/both.so" --iterations 1 --json --precision $precision
    says "$out" "\"precision\": \"$precision\""
    expect 0 info "$work/both.so" --precision $precision
    says "$out" '^  [a-z0-9+]*  *f32 .* of weights, .* of code' '^  [a-z0-9+]*  *bf16 .* of weights, .* of code' \
        '^  [a-z0-9+]*  *f16 .* of weights, .* of code' '^  .* of weights together' "^[0-9]* kernels for .* with precision $precision, by strategy"
done
expect 0 info "$work/both.so"
says "$out" 'with precision f32, by strategy'
expect 1 run "$work/bf16.so" --precision f32
says "$err" 'bf16.so: the model was not compiled with precision f32, but with bf16$'
expect 1 bench "$work/f32.so" --precision bf16
says "$err" 'f32.so: the model was not compiled with precision bf16, but with f32$'
expect 1 info "$work/f32.so" --precision bf16
says "$err" 'f32.so: the model was not compiled with precision bf16, but with f32$'
# Of several without f32, one is to be named.
expect 0 compile "$model" -o "$work/narrow.so" --precision bf16,f32x3
expect 1 run "$work/narrow.so"
says "$err" 'narrow.so: the model was not compiled with precision f32, but with f32x3, bf16: ask for one of them$'
expect 0 run "$work/narrow.so" --seed 5 --output-dir "$work/asked" --precision bf16
same "$work/asked/logits.npy" "$work/bf16/logits.npy"
expect 0 info "$work/narrow.so"
expect 2 run "$work/both.so" --precision fp8
says "$err" 'no precision "fp8"'
# Steps of reference kernels, which have no other precision.
expect 0 compile "$work/mixed.agt" -o "$work/mixed.so" --precision f32,bf16 --weights external
expect 0 run "$work/mixed.so" --batch 4 --seed 3 --precision bf16
same "$out" "$work/wanted"

# Each precision for each target, but where a target adds only what serves another precision.
expect 0 compile "$model" -o "$work/pairs.so" --precision f32,bf16 --target sse2,x86-64-v4,x86-64-v4+avx512bf16
expect 0 info "$work/pairs.so" --json
says "$out" '"runs_here": true'
"$agate" info "$work/pairs.so" | sed -n 's/^  \(sse2\|avx512[^ ]*\)  *\([a-z0-9]*\) .*/\1 \2/p' >"$out"
printf '%s\n' 'sse2 f32' 'avx512 f32' 'sse2 bf16' 'avx512 bf16' 'avx512+avx512bf16 bf16' >"$work/pairs"
same "$out" "$work/pairs"
# One that adds other such features is no lesser one: a CPU may have just that.
expect 0 compile "$model" -o "$work/apart.so" --precision f32,bf16 \
    --target x86-64-v4+avx512bf16,x86-64-v4+amx-bf16,x86-64-v4+avx512bf16+amx-bf16
"$agate" info "$work/apart.so" | sed -n 's/^  \(avx512[^ ]*\)  *\(f32\) .*/\1 \2/p' >"$out"
printf '%s\n' 'avx512+avx512bf16 f32' 'avx512+amx-tile+amx-bf16 f32' >"$work/apart"
same "$out" "$work/apart"
expect 1 info "$work/pairs.so" --isa avx512+avx512bf16 --precision f32
says "$err" 'it was not compiled for avx512+avx512bf16 with precision f32, but for sse2, avx512$'
expect 0 info "$work/pairs.so" --isa avx512+avx512bf16
says "$out" 'kernels for avx512+avx512bf16 with precision bf16'
for precision in f32 bf16; do
    expect 0 compile "$model" -o "$work/one.so" --precision $precision --target sse2
    expect 0 run "$work/one.so" --seed 5 --output-dir "$work/lone"
    expect 0 run "$work/pairs.so" --seed 5 --output-dir "$work/asked" --precision $precision --isa sse2
    same "$work/asked/logits.npy" "$work/lone/logits.npy"
done
if command -v readelf >/dev/null; then
    for suffix in sse2_f32 sse2_bf16 avx512_avx512bf16_bf16; do
        readelf -sW "$work/pairs.so" | grep -q "direct_conv_.*_$suffix\$" || die "no kernels for $suffix"
    done
    expect 0 compile "$model" -o "$work/pairs.o" --emit obj --precision f32,bf16 --target sse2
    readelf -sW "$work/pairs.o" | grep -q "direct_conv_.*_sse2_bf16\$" || die "no bf16 in the object"
fi
expect 2 compile "$model" -o "$work/x.so" --precision f32,fp8
says "$err" '--precision: no precision "fp8": one of f32, f32x6, f32x3, f16, bf16'
expect 2 compile "$model" -o "$work/x.so" --precision f32,bf16,f32
says "$err" '--precision: f32 is given twice'
expect 2 compile "$model" -o "$work/x.s" --emit asm --precision f32,bf16
says "$err" '--precision: too many for --emit asm'
expect 2 compile "$model" -o "$work/x.so" --precision f32,bf16 --target \
    sse2,sse4,avx2,avx512,sse2+popcnt,avx2-fma,avx512-avx512dq,avx512+avx512bf16,avx512+avx512vnni
says "$err" '--target and --precision: more than 16 pairs'

# Features added and taken away, with what goes along with them.
expect 0 compile "$model" -o "$work/odd.so" --target x86-64-v4-avx512f,native+amx-bf16,x86-64-v3-fma+sse3
expect 0 info "$work/odd.so"
says "$out" '^  avx2  ' '^  sse4+avx+avx2+f16c' '+amx-tile+amx-bf16'
for target in x86-64-v5 avx99 native+mmx x86-64-v3+ x86-64-v3fma; do
    expect 2 compile "$model" -o "$work/x.so" --target "x86-64,$target,"
    says "$err" "target \"$target\""
done
expect 2 compile "$model" -o "$work/x.so" --target ,
expect 0 compile "$model" -o "$work/x.so" --target x86-64,,
rm "$work/x.so"
expect 1 compile "$model" -o "$work/x.so" --target avx2,x86-64-v3
says "$err" 'target avx2 is given twice'
expect 2 compile "$model" -o "$work/x.so" --target avx2 --isa avx2
expect 2 compile "$model" -o "$work/x.s" --target avx2,avx512 --emit asm
expect 0 compile "$model" -o "$work/x.s" --target x86-64-v3 --emit asm
says "$work/x.s" ymm

# Every other kind of output.
for kind in ir llvm asm obj; do
    expect 0 compile "$model" --emit $kind -o "$work/out.$kind" --isa avx512
    [ -s "$work/out.$kind" ] || die "--emit $kind wrote nothing"
done
says "$work/out.ir" '^graph @'
says "$work/out.asm" 'zmm'

# Cut off or changed anywhere, a file is refused (test_cache tries more places).
size=$(wc -c <"$so")
for bytes in 0 63 8192 $((size - 1)); do
    head -c "$bytes" "$so" >"$work/cut.so"
    expect 1 run "$work/cut.so"
done
for at in 4 18 600 20000 $((size - 5000)) $((size - 3)); do
    cp "$so" "$work/edited.so"
    printf '\377' | dd of="$work/edited.so" bs=1 seek="$at" conv=notrunc 2>/dev/null
    cmp -s "$so" "$work/edited.so" || expect 1 run "$work/edited.so"
done

# What is there and no file stays what it is.
mkfifo "$work/pipe"
mkdir "$work/place"
for place in pipe place; do
    expect 1 compile "$model" -o "$work/$place"
    says "$err" "$place: a .*, not a file"
done
ln -s /proc/self/fd/1 "$work/stream"
expect 1 compile "$model" -o "$work/stream"
says "$err" "stream: a .*, not a file"
[ -p "$work/pipe" ] && [ -d "$work/place" ] && [ -L "$work/stream" ] || die "replaced: $(ls -l "$work")"

# From a pipe as from a file, each variant of several.
expect 0 compile "$model" -o "$work/file.so" --target avx2,avx512
cat "$model" | "$agate" compile - -o "$work/piped.so" --target avx2,avx512 2>"$err" || die "a pipe"
same "$work/piped.so" "$work/file.so"

# Nor does a model make way for what it is compiled to.
cp "$work/double.agt" "$work/itself.agt"
ln -s itself.agt "$work/link.agt"
for kind in so ir; do
    expect 1 compile "$work/itself.agt" -o "$work/link.agt" --emit $kind
    says "$err" 'link.agt is the model itself'
done
same "$work/itself.agt" "$work/double.agt"

# in_work ARGUMENTS...: agate there, which is done.
in_work() {
    (cd "$work" && "$agate" "$@") >"$out" 2>"$err" || die "agate $*"
}
# Names that linkers take for options, lists of these, or places elsewhere.
for name in -x.so =x.so @x.so; do
    in_work compile "$model" -o "$name"
    in_work run "./$name"
    rm "$work/$name"
done

# Where nobody is told how children end.
printf '#!/bin/sh\nexec env --ignore-signal=CHLD "%s" "$@"\n' "$agate" >"$work/alone"
chmod +x "$work/alone"
env --ignore-signal=CHLD true 2>/dev/null || printf '#!/bin/sh\nexec "%s" "$@"\n' "$agate" >"$work/alone"
(agate=$work/alone && expect 0 compile "$model" -o "$work/alone.so" && expect 0 run "$work/alone.so") || exit 1
mkdir "$work/bin"
# linker PROGRAM WHY KEPT: with a linker that does this, compiling fails so, and the cache says why it keeps nothing.
linker() {
    printf '#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\n%s\n' "$1" >"$work/bin/ld"
    chmod +x "$work/bin/ld"
    (agate=$work/alone && PATH=$work/bin:$PATH && expect 1 compile "$model" -o "$work/x.so") || exit 1
    (PATH=$work/bin:$PATH && expect 1 compile "$model" -o "$work/x.so") || exit 1
    says "$err" "$2"
    (PATH=$work/bin:$PATH && expect 0 run "$model" --cache "$work/unlinked" --verbose) || exit 1
    says "$err" "compiled; cache: $3"
}
linker 'exit 3' 'the linker ld failed (its own' 'the linker ld failed with exit code 3'
linker 'kill -9 $$' 'the linker ld was ended by a signal' 'the linker ld was ended by a signal'
linker 'exit 0' 'the linker ld wrote no whole file' 'the linker ld wrote no whole file'
linker 'echo >"$2"' 'the linker ld wrote no whole file' 'the linker ld wrote no whole file'
linker "cp '$agate' \"\$2\"" 'does not hold what was linked' '.*does not hold what was linked'

# At most the instructions that are asked for, of those that are in the file.
expect 0 compile "$model" -o "$work/low.so" --target x86-64,x86-64-v2
expect 0 bench "$work/low.so" --iterations 5 --isa sse2
says "$out" 'low.so: sse2, '
expect 0 compile "$model" -o "$work/high.so" --target x86-64-v2
expect 1 run "$work/high.so" --isa sse2
says "$err" 'compiled for sse4, and is not to use SSE3, .*; compile it for a lower isa'

# A file that may not grow so large is an error, and nothing stays of it.
(ulimit -f 16 && expect 1 compile "$model" -o "$work/large.so") || exit 1
says "$err" 'File too large\|the linker'
(ulimit -f 16 && expect 0 run "$model" --cache "$work/limited" --verbose) || exit 1
says "$err" 'compiled; cache: '
[ "$(ls -d "$work"/large.so* "$work"/limited/*.so* 2>/dev/null | wc -l)" -eq 0 ] || die "left behind: $(ls "$work")"

# Verbs that need the model say so.
for verb in compare bisect check dump; do
    expect 1 $verb "$so"
    says "$err" 'use the model that it was made from'
done

# Mistakes.
expect 2 compile "$model"
expect 2 compile "$model" -o "$work/x" --emit nothing
expect 2 compile "$model" -o "$work/x" --weights nowhere
expect 1 compile "$model" -o "$work/no-such-folder/x.so"
expect 2 compile "$model" -o "$work/x.so" --isa nothing
expect 1 run "$so" --reference
expect 1 run "$so" --dim N=3
expect 1 compare "$so"
code=0
PATH=$work "$agate" compile "$model" -o "$work/x.so" 2>"$err" || code=$?
[ "$code" -eq 1 ] || die "no linker: exit code $code"
grep -q 'install lld or binutils' "$err" || die "no linker: no advice"
[ "$(ls "$work" | grep -c '^x\.so')" -eq 0 ] || die "left behind: $(ls "$work")"
exit 0
