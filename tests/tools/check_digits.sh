#!/bin/sh
# The digits model must read every drawn digit:  check_digits.sh AGATE
set -eu
digits=$(cd "$(dirname "$0")/../../tools/models/digits" && pwd)
failed=0
for picture in "$digits"/drawn-*.png; do
    digit=$(basename "$picture" .png)
    digit=${digit#drawn-}
    answer=$("$1" run "$digits/digits.onnx" "$picture" --preprocess digits --labels "$digits/labels.txt")
    echo "$answer"
    # The first line with a label is the best class.
    best=$(echo "$answer" | awk '$NF ~ /^[0-9]$/ { print $NF; exit }')
    if [ "$best" != "$digit" ]; then
        echo "check_digits: $picture was read as '$best'" >&2
        failed=1
    fi
done
exit $failed
