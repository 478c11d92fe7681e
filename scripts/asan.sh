#!/usr/bin/env bash
# The C and C++ tests of the interface under the address and undefined-behaviour sanitizers, with the library instrumented too:
# a plain library under a sanitized host hides its own errors. Host and library share the runtime that comes with rustc.
set -euo pipefail
cd "$(dirname "$0")/.."
./scripts/install_deps.sh
triple=x86_64-unknown-linux-gnu
build=$PWD/target/asan
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" CARGO_TARGET_DIR=$build \
    cargo build --quiet --release --locked --lib --features reserve-allocator --target $triple --config 'profile.release.lto=false' \
    --config 'profile.release.codegen-units=16' --config 'profile.release.overflow-checks=true'
runtime=$(find "$(rustc --print target-libdir)" -name 'librustc*rt.asan.a' | head -1)
[ -n "$runtime" ] || { echo "this toolchain has no address sanitizer" >&2; exit 1; }
library=$build/$triple/release/librsquant.a

# Undefined behaviour traps, which needs no second runtime.
flags=(-g1 -O1 -fno-omit-frame-pointer -Iinclude -fsanitize=address,undefined -fsanitize-undefined-trap-on-error)
link=("$library" -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive -lstdc++ -lgcc_s -lpthread -ldl -lrt -lm)
objects=$build/objects
rm -rf "$objects"
mkdir -p "$objects"
definitions="-DTEST_NETWORKS_DIR='\"$PWD/tests/data/networks\"' -DTEST_GOLDEN_DIR='\"$PWD/tests/data/golden\"' -Icpp_tests -std=c++17"
{
    for source in cpp_tests/api/*_test.cpp cpp_tests/support/test_main.cpp; do
        echo "g++ ${flags[*]} $definitions -c $source -o $objects/api_$(basename "$source").o"
    done
    for source in cpp_tests/c/misuse/*.c; do
        echo "gcc ${flags[*]} -std=c99 -c $source -o $objects/misuse_$(basename "$source").o"
    done
    echo "gcc ${flags[*]} -std=c99 -c cpp_tests/c/quantize_and_run.c -o $objects/quantize_and_run.o"
} | xargs -P "$(nproc)" -d '\n' -n 1 bash -c
g++ "$objects"/api_*.o "${link[@]}" -o "$build/api_test"
gcc "$objects"/misuse_*.o "${link[@]}" -o "$build/c_misuse"
gcc "$objects/quantize_and_run.o" "${link[@]}" -o "$build/c_quantize_and_run"
# A host that overruns a buffer must be caught, or the sanitizer watches nothing.
echo 'int main(int argc, char **argv) { char *p = new char[4]; (void)argv; return p[3 + argc]; }' >"$build/overrun.cpp"
g++ "${flags[@]}" "$build/overrun.cpp" "${link[@]}" -o "$build/overrun"

export ASAN_OPTIONS=allocator_may_return_null=1:detect_stack_use_after_return=1
if "$build/overrun" >/dev/null 2>&1; then
    echo "the sanitizer does not see an overrun" >&2
    exit 1
fi
nm "$library" 2>/dev/null | grep -c __asan_report >/dev/null || { echo "the library is not instrumented" >&2; exit 1; }
(cd "$build" && ./api_test && ./c_quantize_and_run "$OLDPWD/tests/data/networks/resnet_like" &&
    ./c_misuse "$OLDPWD/tests/data/networks" "$OLDPWD/include/rsquant.h" "$build")
echo "address and undefined-behaviour sanitizers: no finding"
