#!/bin/sh
# PyTorch as a peer with all numbers in bfloat16, where the CPU multiplies these.
PYTORCH_DTYPE=bfloat16 exec "$(dirname "$0")/pytorch.py"
