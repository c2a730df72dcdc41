#!/bin/sh
# agate as a peer of itself, with convolutions' operands rounded to IEEE half precision.
AGATE_PRECISION=f16 exec "$(dirname "$0")/agate.py"
