#!/bin/sh
# Installs ONNX Runtime for node, which the tools use as an oracle, into the cache folder; says where.
#
#   tools/oracle/install.sh            AGATE_CACHE names the cache (default ~/.cache/agate)
set -eu
version=1.30.0
folder=${AGATE_CACHE:-$HOME/.cache/agate}/oracle

if [ "$(sed -n 's/^ *"version": *"\(.*\)".*/\1/p' "$folder/node_modules/onnxruntime-node/package.json" 2>/dev/null)" = $version ]; then
    echo "oracle: ONNX Runtime $version is in $folder"
    exit 0
fi
command -v npm >/dev/null || {
    echo "oracle: npm is missing; tools/setup.sh convert installs it" >&2
    exit 1
}
mkdir -p "$folder"
# The package's install script would fetch GPU libraries: the CPU ones are in the package itself.
if ! npm install --ignore-scripts --no-audit --no-fund --loglevel=error --prefix "$folder" "onnxruntime-node@$version" >/dev/null; then
    echo "oracle: npm could not install onnxruntime-node@$version; is the network there?" >&2
    exit 1
fi
echo "oracle: ONNX Runtime $version installed in $folder"
