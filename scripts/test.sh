#!/usr/bin/env bash
# Every test: the Rust ones by cargo, the C++ ones by ctest.
set -euo pipefail
cd "$(dirname "$0")/.."
./scripts/install_deps.sh
cargo test --locked
cmake -S . -B build -DCMAKE_BUILD_TYPE=Release
cmake --build build -j 2
ctest --test-dir build --output-on-failure
