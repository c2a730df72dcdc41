#!/bin/sh
# From a fresh clone to a trained ResNet-50 naming what is in photos.
#
#   tools/quickstart.sh [--offline]
#
# Installs missing packages, builds, lets the digits model that comes with the project read some drawn digits, then
# fetches ResNet-50 (some 90 MiB) and photos into the cache and runs it. --offline stops before the download.
# AGATE_CACHE names the cache folder (default ~/.cache/agate).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
digits=$root/tools/models/digits
agate=$root/build/tools/agate
started=$(date +%s)

step() { printf '\n== %s  (%s s)\n' "$*" $(($(date +%s) - started)); }
die() {
    printf 'quickstart: %s\n' "$*" >&2
    exit 1
}

offline=no
for word; do
    case $word in
    --offline) offline=yes ;;
    -h | --help)
        sed -n '2,8s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *) die "unexpected '$word'; see --help" ;;
    esac
done

step "1/4 packages"
if [ $offline = yes ]; then
    "$root/tools/setup.sh" build
else
    "$root/tools/setup.sh" build convert
fi

step "2/4 build"
cd "$root"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { cmake --preset release && cmake --build --preset release; } >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    die "the build failed (its last lines are above)"
fi
echo "built ${agate#"$root"/}"

step "3/4 a small ResNet reads drawn digits"
"$agate" run "$digits/digits.onnx" "$digits"/drawn-*.png --preprocess digits --labels "$digits/labels.txt" ||
    die "agate could not run the digits model"

if [ $offline = yes ]; then
    echo
    echo "quickstart: stopping before the download, as asked"
    exit 0
fi

step "4/4 ResNet-50, trained on ImageNet, names what is in photos"
paths=$("$root/tools/models/fetch.sh" resnet50 photos) ||
    die "ResNet-50 could not be fetched; with a network this runs again from where it stopped"
model=$(echo "$paths" | sed -n 1p)
labels=$(echo "$paths" | sed -n 2p)
photos=$(echo "$paths" | sed -n 3p)
"$agate" run "$model" "$photos"/*.jpg --preprocess keras-caffe --labels "$labels" || die "agate could not run ResNet-50"

step "done"
echo "Try your own photo:"
echo "  ${agate#"$root"/} run $model YOUR.jpg --preprocess keras-caffe --labels $labels"
