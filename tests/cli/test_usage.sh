#!/bin/sh
# Help, version, and command lines that make no sense.
. "$(dirname "$0")/lib.sh"

expect 0 --version
says "$out" '^agate [0-9]'
expect 0 help
says "$out" '  run ' '  dump ' '  opt ' '  test ' '  bench ' '  cache ' '  check ' '  info ' '  compare ' '  bisect ' '  compile ' '  tune ' 'Exit codes'
for verb in run compile dump opt test bench cache check info compare bisect tune; do
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
expect 2 run model.onnx --dim N=2 --dim M=2 --dim N=3
says "$err" '--dim N is given twice'
expect 2 run model.onnx --preprocess cubist
expect 2 run model.onnx --input x.npy
says "$err" 'NAME=FILE is needed'
expect 2 bench model.onnx --input x.npy
expect 2 run model.onnx --allow haste
says "$err" 'there is no "haste" to allow, but: winograd'
expect 2 opt file.agt --allow haste
expect 2 run model.onnx --precision fp8
says "$err" 'no precision "fp8": one of f32, f32x6, f32x3, f16, bf16'
expect 2 opt file.agt --precision fp8
expect 2 opt file.agt --pass ''
expect 2 dump model.onnx --stage finished
expect 2 dump model.onnx --format pdf
expect 2 dump model.onnx --stage asm --format dot
expect 2 dump model.onnx --print-after nothing
expect 2 dump model.onnx --skip nothing
expect 2 opt file.agt --pass nothing
expect 2 test . --stage fused
expect 2 test . --rtol -1
