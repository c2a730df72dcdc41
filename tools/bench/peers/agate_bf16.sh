#!/bin/sh
# agate as a peer of itself, with convolutions' operands rounded to bfloat16.
AGATE_PRECISION=bf16 exec "$(dirname "$0")/agate.py"
