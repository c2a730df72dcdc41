#!/bin/sh
# agate as a peer of itself, with convolutions' operands as three bfloat16 numbers, six products for each.
AGATE_PRECISION=f32x6 exec "$(dirname "$0")/agate.py"
