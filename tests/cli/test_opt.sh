#!/bin/sh
# Passes over text IR.
. "$(dirname "$0")/lib.sh"

cat >"$work/block.agt" <<'END'
graph @block(%x: f32[N,3]) -> f32[N,3] {
  %0 = const [0, 0, 0] : f32[3]
  %1 = const [1, 2, 3] : f32[3]
  %2 = add %0, %1 : f32[3]
  %3 = add %x, %2 : f32[N,3]
  %4 = relu %3 : f32[N,3]
  return %4
}
END
expect 0 opt "$work/block.agt"
same "$out" "$work/block.agt"
expect 0 opt "$work/block.agt" --pass fold-constants,dce
says "$out" 'const \[1, 2, 3\]'
grep -q 'const \[0, 0, 0\]' "$out" && die "an unused constant is left"
cp "$out" "$work/folded"
"$agate" opt - --pass fold-constants --pass dce <"$work/block.agt" >"$out" 2>"$err" || die "standard input"
same "$out" "$work/folded"
expect 0 opt "$work/block.agt" --pass fold-constants --print-after all --diff
says "$out" '^; after fold-constants'
expect 0 opt --list
says "$out" '^canonicalize ' '^plan-memory '

expect 1 opt "$work/nothing.agt"
expect 1 opt "$digits/digits.onnx"
head -c 100 "$work/block.agt" >"$work/short.agt"
expect 1 opt "$work/short.agt"
sed 's/relu %3/relu %9/' "$work/block.agt" >"$work/unknown.agt"
expect 1 opt "$work/unknown.agt"
says "$err" 'unknown.agt'
exit 0
