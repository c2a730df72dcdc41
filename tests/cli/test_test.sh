#!/bin/sh
# Test folders that pass, fail, are skipped, are damaged.
. "$(dirname "$0")/lib.sh"
if [ ! -f "$node_tests/test_add/model.onnx" ]; then
    echo "skipped: no ONNX operator tests (libonnx-testdata)"
    exit 77
fi
tests=$work/tests
mkdir -p "$tests/deeper" "$work/empty"
cp -r "$node_tests/test_add" "$node_tests/test_relu" "$tests"
cp -r "$node_tests/test_sub" "$tests/deeper"

for how in '' --reference '--reference --stage planned' '--isa sse2' '--threads 2'; do
    # shellcheck disable=SC2086 # several words on purpose
    expect 0 test $how "$tests/"
    says "$out" '^PASS test_add$' '^PASS test_relu$' '^PASS test_sub$'
    [ "$(tail -n 1 "$out")" = "3 passed, 0 failed, 0 skipped" ] || die "the last line"
done

# A wrong answer; an answer too many; a damaged one; a damaged model.
cp "$tests/test_relu/test_data_set_0/input_0.pb" "$tests/test_relu/test_data_set_0/output_0.pb"
expect 1 test "$tests"
says "$out" '^FAIL test_relu .*elements are wrong' '^2 passed, 1 failed, 0 skipped$'
expect 0 test "$tests" --atol 100
cp "$tests/test_add/test_data_set_0/output_0.pb" "$tests/test_add/test_data_set_0/output_1.pb"
head -c 60 "$node_tests/test_sub/model.onnx" >"$tests/deeper/test_sub/model.onnx"
expect 1 test "$tests"
says "$out" '^FAIL test_add ' '^FAIL test_relu ' '^FAIL test_sub ' '^0 passed, 3 failed, 0 skipped$'

# Tolerances of the folder itself, unless others are given.
echo '{"rtol": 0.001, "atol": 100}' >"$tests/test_relu/data.json"
expect 0 test "$tests/test_relu"
expect 1 test "$tests/test_relu" --atol 1e-7

# Without a data set; what is not supported; no test at all.
rm -r "$tests/test_relu/test_data_set_0"
expect 1 test "$tests/test_relu"
says "$out" '^FAIL test_relu .*test_data_set'
if [ -d "$node_tests/test_strnormalizer_nostopwords_nochangecase" ]; then
    expect 0 test "$node_tests/test_strnormalizer_nostopwords_nochangecase"
    says "$out" '^SKIP test_strnormalizer_nostopwords_nochangecase .' '^0 passed, 0 failed, 1 skipped$'
fi
expect 1 test "$work/empty"
says "$err" 'no test folder'
says "$out" '^0 passed, 0 failed, 0 skipped$'
exit 0
