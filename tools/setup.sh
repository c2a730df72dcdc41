#!/bin/sh
# Installs the Debian packages that building, testing and the model tools need; does nothing when all are there.
#
#   tools/setup.sh [build] [test] [convert] [models] [bench]      default: all
#
# build: the compiler and libraries; test: what the tests need on top; convert: what fetching and converting the trained
# models needs; models: what exporting and training through torch needs on top of that; bench: what tools/bench needs.
#
# Runs apt-get as root or through passwordless sudo; otherwise prints the one line to run and exits with 1.
set -eu

# libc6-dev and g++ are named because gcc only recommends them.
build_packages="gcc g++ libc6-dev cmake ninja-build pkg-config git libprotobuf-c-dev protobuf-c-compiler
    libjansson-dev nettle-dev libstb-dev check"
test_packages="$build_packages clang libclang-rt-dev clang-format doxygen libonnx-testdata qemu-user python3
    python3-numpy python3-onnx python3-pil python3-matplotlib"
convert_packages="ca-certificates xz-utils bzip2 python3 python3-numpy python3-onnx python3-pil"
models_packages="$convert_packages python3-torch python3-torchvision"
bench_packages="$models_packages python3-matplotlib libdnnl-dev"
llvm_choices="llvm-22-dev llvm-19-dev"

say() { printf '%s\n' "setup: $*"; }
installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
available() { apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [0-9]'; }

if ! command -v apt-get >/dev/null; then
    say "this is not Debian (no apt-get); install the equivalents of: $build_packages llvm-22-dev" | tr -s ' \n' ' ' >&2
    exit 1
fi

wanted=""
[ $# -gt 0 ] || set -- build test convert models bench
for group; do
    case $group in
    build) wanted="$wanted $build_packages llvm" ;;
    test) wanted="$wanted $test_packages llvm" ;;
    convert | models | bench)
        case $group in
        convert) wanted="$wanted $convert_packages" ;;
        models) wanted="$wanted $models_packages" ;;
        bench) wanted="$wanted $bench_packages" ;;
        esac
        # Debian's nodejs conflicts with one from elsewhere: any node that works will do.
        if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
            wanted="$wanted nodejs npm"
        fi
        ;;
    -h | --help)
        sed -n '2,9s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *)
        say "no group named '$group'; the groups are build, test, convert, models and bench" >&2
        exit 2
        ;;
    esac
done

# LLVM is satisfied by any of its choices, and wanted as the first that apt can offer.
llvm_package() {
    for choice in $llvm_choices; do installed "$choice" && echo "$choice" && return; done
    for choice in $llvm_choices; do available "$choice" && echo "$choice" && return; done
    echo "${llvm_choices%% *}"
}

# Sets $missing.
find_missing() {
    missing=""
    for package in $(printf '%s\n' $wanted | sort -u); do
        if [ "$package" = llvm ]; then package=$(llvm_package); fi
        installed "$package" || missing="$missing $package"
    done
    missing=${missing# }
}

all_available() {
    for package in $missing; do available "$package" || return 1; done
}

find_missing
if [ -z "$missing" ]; then
    say "every package is there"
    exit 0
fi

if [ "$(id -u)" = 0 ]; then
    root="env"
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    root="sudo -n env"
else
    say "some packages are missing and this user may not install them; run this once:" >&2
    printf '%s\n' "sudo apt-get update && sudo apt-get install --yes --no-install-recommends $missing" >&2
    exit 1
fi

apt() { $root DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@"; }
refresh() {
    say "fetching the lists of packages"
    apt update || say "some lists could not be fetched; going on with those that are there" >&2
    find_missing
}
install() {
    say "installing $missing"
    # dpkg's chatter is kept only for when it fails.
    apt install --yes --no-install-recommends $missing >"$log" 2>&1
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
all_available || refresh
if ! install; then
    refresh
    if ! install; then
        tail -n 20 "$log" >&2
        say "apt-get could not install the packages (the last lines of its output are above)." \
            "Check the network and the sources in /etc/apt, then run this again." >&2
        exit 1
    fi
fi
say "installed"
