#!/bin/sh
# The exported networks against ONNX Runtime:  check_networks.sh AGATE FOLDER
#
# FOLDER is what export_networks.sh filled. What the networks are fused to is counted; every network runs with batches 1, 3
# and 8 from one compiled model, for the host's instructions and for AVX2; a few are also held to give the same bits for
# any thread count and for a row alone.
set -eu
agate=$1
folder=$2
here=$(cd "$(dirname "$0")" && pwd)
tools=$here/../../tools
failed=0

"$here/check_kernels.py" "$agate" "$folder" || failed=1
for isa in "" "--isa avx2"; do
    [ -z "$isa" ] || grep -qw avx2 /proc/cpuinfo || continue
    # shellcheck disable=SC2086
    "$agate" test $isa --rtol 1e-3 --atol 1e-5 "$folder"/folders/* || failed=1
done
# These run each network several times, so all but the first time come from a cache.
cache=$(mktemp -d)
trap 'rm -rf "$cache"' EXIT
AGATE_CACHE_DIR=$cache "$tools/oracle/check_networks.py" --agate "$agate" "$folder" --batches 1,3 --isa host \
    --only resnet18 resnet18v2_bn resnet50_bn plain18 cifar20 resnet18_tf || failed=1
exit $failed
