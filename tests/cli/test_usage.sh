#!/bin/sh
# Help, version, and command lines that make no sense.
. "$(dirname "$0")/lib.sh"

expect 0 --version
says "$out" '^agate [0-9]'
expect 0 help
says "$out" '  run ' '  dump ' '  opt ' '  test ' '  bench ' '  cache ' '  check ' '  info ' '  compare ' '  bisect ' 'Exit codes'
for verb in run dump opt test bench cache check info compare bisect; do
    expect 0 $verb --help
    says "$out" "^agate $verb " 'Exit codes' '^  agate '
    cp "$out" "$work/help"
    expect 0 help $verb
    same "$out" "$work/help"
    expect 2 $verb --no-such-option
    says "$err" 'no-such-option'
done

code=0
"$agate" >"$out" 2>"$err" || code=$?
[ $code -eq 2 ] || die "agate alone: exit code $code"
expect 2 no-such-verb
expect 2 help no-such-verb
expect 2 run
expect 2 dump
expect 2 bench
expect 2 opt
expect 2 run --seed
says "$err" 'needs a value'
expect 2 run model.onnx --seed many
expect 2 run model.onnx --batch 0
expect 2 run model.onnx --batch 99999999999999999999
expect 2 run model.onnx --isa z80
expect 2 run model.onnx --dim N
expect 2 run model.onnx --preprocess cubist
expect 2 dump model.onnx --stage finished
expect 2 dump model.onnx --format pdf
expect 2 dump model.onnx --stage asm --format dot
expect 2 dump model.onnx --print-after nothing
expect 2 dump model.onnx --skip nothing
expect 2 opt file.agt --pass nothing
expect 2 test . --stage fused
expect 2 test . --rtol -1
