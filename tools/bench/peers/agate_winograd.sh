#!/bin/sh
# agate as a peer of itself, with Winograd's convolutions allowed.
AGATE_ALLOW=winograd exec "$(dirname "$0")/agate.py"
