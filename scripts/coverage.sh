#!/usr/bin/env bash
# Which lines of src/onnx and src/model the corpora of tests/data/fuzz reach when tests/fuzz_corpus.rs replays them: at least 85 % of each.
# Instruments with -Cinstrument-coverage; reads with llvm-profdata and llvm-cov of rustc's LLVM version (apt: llvm-NN).
set -euo pipefail
cd "$(dirname "$0")/.."
least=85
llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
tools=$(dirname "$(rustc --print target-libdir)")/bin
if [ ! -x "$tools/llvm-cov" ]; then
    tools=/usr/lib/llvm-$llvm/bin
    if [ ! -x "$tools/llvm-cov" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "llvm-$llvm" >/dev/null
    fi
    [ -x "$tools/llvm-cov" ] || { echo "please install llvm-$llvm" >&2; exit 1; }
fi

target=$PWD/target/coverage
rm -rf "$target/profiles"
mkdir -p "$target/profiles"
export CARGO_TARGET_DIR=$target RUSTFLAGS=-Cinstrument-coverage LLVM_PROFILE_FILE=$target/profiles/%p-%m.profraw
program=$(cargo test --quiet --locked --test fuzz_corpus --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*fuzz_corpus[^"]*\)".*/\1/p' | tail -1)
"$program" --quiet
"$tools/llvm-profdata" merge -sparse "$target"/profiles/*.profraw -o "$target/merged.profdata"
failed=0
for room in onnx model; do
    sources=$(find "src/$room" -name '*.rs' ! -name tests.rs ! -path '*/tests/*')
    # shellcheck disable=SC2086 # A list of files without spaces.
    summary=$("$tools/llvm-cov" report "$program" -instr-profile="$target/merged.profdata" $sources)
    echo "$summary" | awk 'NF == 13 && $1 != "Filename" {print $1, $8 - $9, "of", $8, $10}' | column -t
    share=$(echo "$summary" | awk '$1 == "TOTAL" {sub("%", "", $10); print $10}')
    echo "src/$room: $share % of lines"
    awk -v share="$share" -v least=$least 'BEGIN {exit !(share >= least)}' || failed=1
done
[ $failed -eq 0 ] || echo "less than $least %: add seeds" >&2
exit $failed
