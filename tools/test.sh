#!/bin/bash
# Passes the tests: installs what is missing, builds twice (release; debug with ASan and UBSan), runs every test.
#
#   tools/test.sh [--quick]      --quick leaves out the exported networks
#
# Ends with a line "N passed, N failed, N skipped"; exits with 1 if any failed. Tests that lack something (a CPU feature,
# a model, a network to download over) are skipped and say so by name.
set -euo pipefail
cd "$(dirname "$0")/.."

quick=""
case "${1-}" in
--quick) quick=1 ;;
-h | --help)
    sed -n '2,7s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
esac

if [ -n "$quick" ]; then
    tools/setup.sh build test
else
    tools/setup.sh build test models
fi

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
failed=0

# build PRESET: configure and build; the log is shown only where it fails.
build() {
    printf 'test: building %s\n' "$1"
    if ! { cmake --preset "$1" && cmake --build --preset "$1"; } >"$logs/build" 2>&1; then
        tail -n 40 "$logs/build"
        exit 1
    fi
}

# run_ctest FOLDER NAME ARGUMENTS...
run_ctest() {
    local folder=$1 name=$2
    shift 2
    printf 'test: %s\n' "$name"
    ctest --test-dir "$folder" --output-on-failure -j "$(nproc)" "$@" 2>&1 | tee "$logs/$name" || failed=1
}

count() { cat "$logs"/ctest-* 2>/dev/null | grep -cE "$1" || true; }

build release
build debug
run_ctest build ctest-release ${quick:+-LE networks}
run_ctest build-debug ctest-debug -LE networks

passed=$(count '^ *[0-9]+/[0-9]+ Test .* Passed ')
skipped=$(count '^ *[0-9]+/[0-9]+ Test .*\*\*\*(Skipped|Not Run)')
broken=$(count '^ *[0-9]+/[0-9]+ Test .*\*\*\*(Failed|Exception|Timeout)')
printf '%s passed, %s failed, %s skipped\n' "$passed" "$broken" "$skipped"
[ "$failed" = 0 ] && [ "$broken" = 0 ] && [ "$passed" -gt 0 ]
