#!/bin/sh
# agate as a peer of itself, with convolutions' operands as two bfloat16 numbers, three products for each.
AGATE_PRECISION=f32x3 exec "$(dirname "$0")/agate.py"
