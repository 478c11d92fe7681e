#!/usr/bin/env bash
# Makes the packages, unpacks each, and builds and runs the consumer with what was in them.
#
#     package_test.sh BUILD_TREE MODEL.onnx FOLDER
set -euo pipefail
build=$1 model=$2 folder=$3
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$folder"
mkdir -p "$folder/tar" "$folder/deb"

use() {
    "$here/check_tree.sh" "$1" "$build"
    "$here/build_and_run.sh" "$here/project" "$1" "$model" "$2"
}

echo "-- .tar.gz"
cpack --config "$build/CPackConfig.cmake" -G TGZ -B "$folder" >/dev/null
tar -xzf "$folder"/*.tar.gz -C "$folder/tar" --strip-components=1
use "$folder/tar" "$folder/use_tar"

echo "-- .deb"
if ! command -v dpkg-deb >/dev/null; then
    echo "SKIPPED: there is no dpkg-deb"
    exit 0
fi
cpack --config "$build/CPackConfig.cmake" -G DEB -B "$folder" >/dev/null
dpkg-deb --info "$folder"/*.deb | grep -E "^ (Package|Version|Depends):"
dpkg-deb -x "$folder"/*.deb "$folder/deb"
use "$folder/deb/usr" "$folder/use_deb"
