#!/usr/bin/env bash
# The stripped shared library has at most 4 MB.
#
#     library_size_test.sh LIBRARY FOLDER
set -euo pipefail
mkdir -p "$2"
strip -o "$2/stripped.so" "$1"
bytes=$(stat -c %s "$2/stripped.so")
echo "stripped: $bytes bytes"
[ "$bytes" -le 4000000 ]
