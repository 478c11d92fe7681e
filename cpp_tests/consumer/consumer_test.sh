#!/usr/bin/env bash
# Installs the build tree, moves the installed tree, and builds and runs the consumer with it: by find_package and by pkg-config,
# shared and static.
#
#     consumer_test.sh BUILD_TREE MODEL.onnx FOLDER
set -euo pipefail
build=$1 model=$2 folder=$3
project=$(cd "$(dirname "$0")/project" && pwd)

rm -rf "$folder"
mkdir -p "$folder"
cmake --install "$build" --prefix "$folder/installed here" >/dev/null
mv "$folder/installed here" "$folder/moved tree"
prefix="$folder/moved tree"

"$(dirname "$0")/check_tree.sh" "$prefix" "$build" "$folder/installed here"
"$(dirname "$0")/build_and_run.sh" "$project" "$prefix" "$model" "$folder/work"
