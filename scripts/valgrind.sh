#!/usr/bin/env bash
# A network quantized and run under valgrind's memcheck: no invalid access, no use of uninitialized memory, no leak. Valgrind hides
# AVX-512, so this is the AVX2 path: the program fails where the library takes another.
set -euo pipefail
cd "$(dirname "$0")/.."
./scripts/install_deps.sh
if ! command -v valgrind >/dev/null; then
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || { echo "please install valgrind" >&2; exit 1; }
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends valgrind >/dev/null
fi
# The development build, whose assertions are on, and without the reserve allocator, which valgrind would see as one block.
cargo build --quiet --locked --lib
folder=target/valgrind
mkdir -p "$folder"
libraries=$(rustc --crate-type staticlib --print native-static-libs -o "$folder/empty.a" - </dev/null 2>&1 | sed -n 's/.*native-static-libs: //p')
# shellcheck disable=SC2086 # A list of flags.
g++ -std=c++17 -g -O1 -Wall -Wextra -Iinclude cpp_tests/support/valgrind_run.cpp target/debug/librsquant.a $libraries -o "$folder/run"
# What the threads that rest hold until the process ends is still reachable, which is no leak.
valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
    "$folder/run" tests/data/networks/resnet_like
echo "valgrind: no finding"
