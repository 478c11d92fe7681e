#!/usr/bin/env bash
# Every test: the Rust ones by cargo, the C++ ones by ctest.
set -euo pipefail
cd "$(dirname "$0")/.."
./scripts/install_deps.sh

# The build writes the header anew from src/ffi: it must come out as it was handed in.
before=$(mktemp)
trap 'rm -f "$before"' EXIT
cp include/rsquant.h "$before"
cargo test --locked --features test-internals,cli
if ! diff -u "$before" include/rsquant.h; then
    echo "include/rsquant.h was not what src/ffi makes; it is now: commit it" >&2
    exit 1
fi

# What another architecture gets: the portable kernels alone.
cargo test --locked --no-default-features --test float_networks --test int8_networks --test onnx_networks --test header_compiles

cmake -S . -B build -DCMAKE_BUILD_TYPE=Release
cmake --build build -j 2
ctest --test-dir build --output-on-failure
