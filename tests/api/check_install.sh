#!/bin/sh
# check_install.sh CMAKE BUILD SOURCE CC: installs BUILD into an empty folder and builds programs against what lies there,
# by pkg-config and by CMake's find_package; then moves the folder, for neither may know where it was.
set -eu
cmake=$1
build=$2
source=$3
cc=$4
digits=$source/tools/models/digits/digits.onnx
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "FAIL $*" >&2
    exit 1
}

"$cmake" --install "$build" --prefix "$work/first" >"$work/log" || fail "cmake --install"
mv "$work/first" "$work/there"
package=$(dirname "$(find "$work/there" -name agate.pc)")
libraries=$(dirname "$package")

by_pkg_config() {
    PKG_CONFIG_PATH=$package pkg-config --cflags --libs "$1"
}
"$cc" -o "$work/example" "$source/tests/api/example.c" $(by_pkg_config agate) || fail "pkg-config agate"
"$cc" -o "$work/version" "$source/tests/api/install/version.c" $(by_pkg_config agate-runtime) ||
    fail "pkg-config agate-runtime"

"$cmake" -G Ninja -S "$source/tests/api/install" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/there" \
    -DCMAKE_C_COMPILER="$cc" >"$work/log" 2>&1 || { cat "$work/log"; fail "find_package(agate)"; }
"$cmake" --build "$work/build" >"$work/log" 2>&1 || { cat "$work/log"; fail "a build with find_package(agate)"; }

export LD_LIBRARY_PATH="$libraries"
version=$(PKG_CONFIG_PATH=$package pkg-config --modversion agate)
for way in "$work" "$work/build"; do
    [ "$("$way/version")" = "$version" ] || fail "$way/version"
    "$way/example" "$digits" | grep -q '^5\. ' || fail "$way/example"
done
"$work/there/bin/agate" version | grep -q "^agate $version\$" || fail "the installed command"
