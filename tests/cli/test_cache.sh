#!/bin/sh
# The cache: hits and misses, damage, other builds, many writers, folders that cannot be used. test_cache has the rest: each
# kind of damage, external data, the bound of the folder.
. "$(dirname "$0")/lib.sh"
command -v ld >/dev/null || command -v ld.lld >/dev/null || command -v cc >/dev/null || {
    echo "skipped: no linker"
    exit 77
}
cache=$work/cache
AGATE_CACHE_DIR=$cache
export AGATE_CACHE_DIR

# start HOW [OPTION]...: runs the model; it came from there ("from the cache", "compiled") and answers as ever.
start() {
    how=$1
    shift
    expect 0 run "$model" --batch 3 --seed 5 --verbose "$@"
    same "$out" "$work/wanted"
    says "$err" "remark: .*: $how"
}
the_entry() {
    find "$cache" -name '*.so' -type f
}
entries() {
    the_entry | wc -l
}

# Made once, found again: by another thread count, another name of the file, another verb; from standard input. The file is
# large enough to be remembered by its state.
cp "$digits/digits.onnx" "$work/digits.onnx"
model=$work/digits.onnx
expect 0 run "$model" --batch 3 --seed 5 --cache none
cp "$out" "$work/wanted"
start compiled
start 'from the cache'
sleep 2 # now it has not been changed just now
start 'from the cache'
[ "$(ls "$cache" | grep -c '\.digest$')" -eq 1 ] || die "not remembered: $(ls "$cache")"
start 'from the cache' --threads 1
cp "$model" "$work/other.onnx"
model=$work/other.onnx start 'from the cache'
expect 0 bench "$model" --iterations 1 --json
says "$out" '"from_cache": true'
expect 0 bench "$model" --iterations 1
says "$out" 'compile .*(from the cache)'
"$agate" run - --batch 3 --seed 5 --verbose <"$model" >"$out" 2>"$err" || die "standard input"
same "$out" "$work/wanted"
says "$err" 'from the cache'
[ "$(entries)" -eq 1 ] || die "$(entries) entries"

# What is remembered is not believed when it is damaged, or the file was changed in place.
for record in "$cache"/*.digest; do
    printf '\377\377' | dd of="$record" bs=1 seek=50 conv=notrunc 2>/dev/null
done
start 'from the cache'
# Another producer version (field 3): other bytes of the same length, at the same place.
for i in 1 2; do
    { cat "$work/other.onnx"; printf '\032\001%d' "$i"; } >"$model"
    start compiled
done
cp "$work/other.onnx" "$model"
start 'from the cache'

# What code depends on makes another entry; --cache none makes and finds nothing.
model=$work/double.agt
expect 0 run "$model" --batch 3 --seed 5 --cache none
cp "$out" "$work/wanted"
expect 0 cache clear
start compiled
start compiled --isa sse2
start 'from the cache' --isa sse2
start compiled --isa sse2 --allow winograd
start 'from the cache' --isa sse2 --allow winograd
start compiled --precision bf16
start 'from the cache' --precision bf16
start 'from the cache' --precision f32
start 'from the cache'
expect 0 bench "$model" --iterations 1 --json --cache none
says "$out" '"from_cache": false'
expect 0 run "$model" --reference --batch 3 --seed 5
[ "$(entries)" -eq 4 ] || die "$(entries) entries"

# The verb.
expect 0 cache
says "$out" '4 models' 'sse2, f32, [0-9]* kernels' "$cache"
expect 0 cache list --cache "$work/empty"
says "$out" '0 models'
expect 0 cache --cache none
says "$out" 'no cache is in use'
expect 2 cache nonsense
expect 1 cache --cache "$model"
says "$err" 'it is no folder'
touch "$cache/somebody-elses.so"
expect 0 cache clear
says "$out" 'removed [1-9]'
[ -f "$cache/somebody-elses.so" ] || die "removed a file that is not the cache's"
rm "$cache/somebody-elses.so"
[ -z "$(ls "$cache")" ] || die "left behind: $(ls "$cache")"
# What cannot be removed is said.
stuck=$cache/0123456789012345678901234567890123456789.so.abcdef
mkdir -p "$stuck/folder"
expect 1 cache clear
says "$out" 'removed 0 files'
says "$err" "$stuck cannot be removed: "
rm -r "$stuck"

# Damaged in any way, an entry is made anew and replaced.
start compiled
entry=$(the_entry)
cp "$entry" "$work/good.so"
size=$(wc -c <"$entry")
damaged() {
    cmp -s "$entry" "$work/good.so" && die "nothing was damaged ($1)"
    start "compiled; cache: .*\\($2\\)"
    same "$entry" "$work/good.so"
}
: >"$entry"
damaged "empty" 'the file is empty'
head -c $((size - 1)) "$work/good.so" >"$entry"
damaged "one byte less" 'cut off'
printf '\132\245\132' | dd of="$entry" bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
damaged "edited" 'damaged'
cp "$(command -v env)" "$entry"
damaged "another program" 'no compiled model'
start 'from the cache'

# Many at once: all answer, and one entry is left.
expect 0 cache clear
for i in 1 2 3 4; do
    "$agate" run "$model" --batch 3 --seed 5 --threads 1 >"$work/answer.$i" 2>"$work/error.$i" &
done
wait
for i in 1 2 3 4; do
    same "$work/answer.$i" "$work/wanted"
    [ ! -s "$work/error.$i" ] || die "at once: $(cat "$work/error.$i")"
done
[ "$(entries)" -eq 1 ] || die "at once: $(entries) entries"
start 'from the cache'
# Readers while the entry is damaged and replaced.
for i in 1 2; do
    printf '\132' | dd of="$entry" bs=1 seek=$((1000 * i)) conv=notrunc 2>/dev/null
    "$agate" run "$model" --batch 3 --seed 5 >"$work/answer.$i" 2>/dev/null &
    "$agate" run "$model" --batch 3 --seed 5 >"$work/answer.0" 2>/dev/null || die "while it is replaced"
    wait
    same "$work/answer.$i" "$work/wanted"
    same "$work/answer.0" "$work/wanted"
done
[ "$(ls "$cache" | grep -c '\.so\.')" -eq 0 ] || die "left behind: $(ls "$cache")"

# Nobody else may write to what is run, and what others may have written is not.
mkdir -m 755 "$work/shared"
(umask 0 && start compiled --cache "$work/shared") || exit 1
[ -z "$(find "$work/shared" -perm /022)" ] || die "others may write: $(ls -l "$work/shared")"
start 'from the cache' --cache "$work/shared"
chmod o+w "$work"/shared/*.so
start 'compiled; cache: .*other users may have written it' --cache "$work/shared"
start 'from the cache' --cache "$work/shared"

# Folders that cannot be used: it works without, and says so when asked.
: >"$work/file"
mkdir -m 777 "$work/open"
for folder in "$work/file/below" /proc/agate "$work/open"; do
    start 'compiled; cache: ' --cache "$folder"
done
expect 0 run "$model" --cache "$work/open"
[ ! -s "$err" ] || die "not silent"
[ -z "$(ls "$work/open")" ] || die "code was put where others may write"
# One that may only be read still serves what is in it.
mkdir "$work/locked"
start compiled --cache "$work/locked"
chmod 555 "$work/locked"
start 'from the cache' --cache "$work/locked"
as_nobody=
[ "$(id -u)" -ne 0 ] || as_nobody='setpriv --reuid=65534 --clear-groups'
if chmod 755 "$work" && chmod -R a+rX "$work" && $as_nobody "$agate" version >/dev/null 2>&1; then
    $as_nobody "$agate" run "$model" --isa sse2 --cache "$work/locked" --verbose >"$out" 2>"$err" ||
        die "a folder that may only be read"
    says "$err" 'compiled; cache: .*denied'
fi
chmod 755 "$work/locked"

# Without a linker it compiles for itself.
code=0
PATH=$work "$agate" run "$model" --isa avx2 --verbose >"$out" 2>"$err" || code=$?
[ "$code" -eq 0 ] || die "no linker: exit code $code"
says "$err" 'compiled; cache: no linker'
[ "$(ls "$cache" | grep -c '\.so\.')" -eq 0 ] || die "left behind: $(ls "$cache")"

# Where passes are to be seen, they run.
if [ -n "$node_tests" ]; then
    cp -r "$node_tests/test_relu" "$work/folder"
    expect 0 test "$work/folder"
    expect 0 test "$work/folder" --time-passes
    says "$err" ' ms '
    expect 0 test "$work/folder" --verbose
    says "$out" '1 passed'
    says "$err" 'from the cache'
fi
# Precisions of nodes are part of what was compiled.
expect 0 cache clear
model=$work/digits.onnx
expect 0 run "$model" --batch 3 --seed 5 --cache none
cp "$out" "$work/wanted"
start compiled
start compiled --node-precision /blocks/blocks.0/conv1/Conv=f32
start 'from the cache' --node-precision /blocks/blocks.0/conv1/Conv=f32
exit 0
