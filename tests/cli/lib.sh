# lib.sh: for the command's tests; each is run as `test_VERB.sh AGATE ROOT NODE_TESTS`.
# A test that cannot run exits with 77 and says why.
set -u
# As tests/environment.cmake has it.
export AGATE_CACHE_DIR=none
agate=$1
root=$2
node_tests=${3-}
digits=$root/tools/models/digits
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=$work/out
err=$work/err

die() {
    echo "FAIL $*" >&2
    sed 's/^/  stdout: /' "$out" | head -n 20 >&2
    sed 's/^/  stderr: /' "$err" | head -n 20 >&2
    exit 1
}

# expect CODE ARGUMENTS...: runs agate, whose output goes to $out and $err. Failures must explain themselves.
expect() {
    wanted=$1
    shift
    code=0
    "$agate" "$@" >"$out" 2>"$err" </dev/null || code=$?
    [ "$code" -eq "$wanted" ] || die "agate $*: exit code $code, not $wanted"
    # A test that failed says so on standard output.
    case $wanted$1 in
    0* | 1test) ;;
    *) head -n 1 "$err" | grep -q '^agate: .' || die "agate $*: no message" ;;
    esac
}

# says FILE PATTERN...: a line of FILE matches each pattern.
says() {
    file=$1
    shift
    for pattern; do
        grep -q -e "$pattern" "$file" || die "nothing like '$pattern' in $(basename "$file")"
    done
}

# same FILE FILE: equal contents.
same() {
    cmp -s "$1" "$2" || die "$(basename "$1") and $(basename "$2") differ"
}

# A model that hands its input on, and one that doubles it.
cat >"$work/same.agt" <<'END'
graph @same(%picture: f32[N,1,28,28]) -> f32[N,1,28,28] {
  return %picture
}
END
cat >"$work/double.agt" <<'END'
graph @double(%x: f32[N,3]) -> f32[N,3] {
  %0 = add %x, %x : f32[N,3]
  return %0
}
END
