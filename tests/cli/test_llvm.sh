#!/bin/sh
# LLVM's library is loaded by what compiles, and by nothing else.
. "$(dirname "$0")/lib.sh"
command -v ld >/dev/null || command -v ld.lld >/dev/null || command -v cc >/dev/null || {
    echo "skipped: no linker"
    exit 77
}
AGATE_CACHE_DIR=$work/cache
LD_DEBUG=files
LD_DEBUG_OUTPUT=$work/loaded
export AGATE_CACHE_DIR LD_DEBUG LD_DEBUG_OUTPUT

# loads YES|NO ARGUMENTS...: whether the command loads it. The dynamic loader writes a file for each process.
loads() {
    loaded=$1
    shift
    expect 0 "$@"
    seen=no
    if cat "$work"/loaded.* | grep -q 'file=libLLVM'; then seen=yes; fi
    cat "$work"/loaded.* | grep -q 'libc\.so' || die "the dynamic loader tells nothing"
    [ $seen = "$loaded" ] || die "agate $*: loads LLVM: $seen, not $loaded"
    rm "$work"/loaded.*
}

loads no --version
loads no check "$digits/digits.onnx"
loads no info "$digits/digits.onnx"
loads no dump "$digits/digits.onnx" --stage planned
loads yes compile "$digits/digits.onnx" -o "$work/digits.so"
loads no run "$work/digits.so"
loads yes run "$digits/digits.onnx"
loads no run "$digits/digits.onnx"
