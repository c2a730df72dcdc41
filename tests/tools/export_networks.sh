#!/bin/sh
# Exports the networks that check_networks.sh runs:  export_networks.sh FOLDER
#
# FOLDER keeps them from one run to the next. Without a network to install ONNX Runtime over, torch's outputs are the
# reference.
set -eu
folder=$1
tools=$(cd "$(dirname "$0")" && pwd)/../../tools

"$tools/oracle/install.sh" || echo "export_networks: going on with torch's outputs as the reference"
"$tools/models/export_torch.py" --group tested --missing --output-dir "$folder"
"$tools/oracle/test_folders.py" "$folder" "$folder/folders"
