#!/usr/bin/env bash
# Fuzzes the readers of files and the C API with libFuzzer under the address sanitizer, within a budget for each target:
#
#   scripts/fuzz.sh [--seconds N | --runs N] [target...]      (60 seconds; all targets)
#
# One line a target tells executions, coverage and findings. Inputs that reach something new are kept in fuzz/run/TARGET/corpus,
# findings in fuzz/run/TARGET/findings: mend them, and put the input into tests/data/fuzz/TARGET, which the tests replay.
# Stable Rust suffices: RUSTC_BOOTSTRAP allows the sanitizer's flag. Ends with 1 if there was a finding.
set -euo pipefail
cd "$(dirname "$0")/.."
limit=(-max_total_time=60)
targets=()
while [ $# -gt 0 ]; do
    case $1 in
        --seconds) limit=("-max_total_time=$2"); shift 2 ;;
        --runs) limit=("-runs=$2"); shift 2 ;;
        -*) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
        *) targets+=("$1"); shift ;;
    esac
done
[ ${#targets[@]} -gt 0 ] || targets=(onnx model calibration recipe api)

if ! command -v g++ >/dev/null; then # libFuzzer itself is compiled from its crate.
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || { echo "please install g++" >&2; exit 1; }
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends g++ >/dev/null
fi

triple=x86_64-unknown-linux-gnu
# Every edge is counted. Comparisons are not traced, which would take a fifth of the time: the mutations know the edge values.
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
coverage+=" -Cllvm-args=-sanitizer-coverage-pc-table"
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address -Cforce-frame-pointers=yes $coverage --cfg fuzzing" \
    cargo build --quiet --release --locked --manifest-path fuzz/Cargo.toml --target $triple --bins

# A plan of gigabytes is refused, which is a status. What is freed is kept for longer than an execution lasts, and no more, so that
# memory stays in the caches.
export ASAN_OPTIONS=allocator_may_return_null=1:max_allocation_size_mb=2048:handle_abort=1:quarantine_size_mb=16:malloc_context_size=8
# On one core there is one thread: runs repeat, and none waits for another.
core=$(taskset -pc $$ | sed 's/.*[ ,-]//')
declare -A longest=([onnx]=6000 [model]=10000 [calibration]=16000 [recipe]=24000 [api]=128)
failed=0
for target in "${targets[@]}"; do
    folder=fuzz/run/$target
    [ -e "fuzz/targets/$target.rs" ] || { echo "there is no fuzz/targets/$target.rs" >&2; exit 2; }
    mkdir -p "$folder"/{corpus,seeds,findings}
    [ "$target" != onnx ] || for network in tests/data/{networks,recurrent}/*/model.onnx; do
        cp "$network" "$folder/seeds/$(basename "$(dirname "$network")")"
    done
    [ ! -d "tests/data/fuzz/$target" ] || find "tests/data/fuzz/$target" -type f -exec cp -t "$folder/seeds" {} +
    status=0
    : >"$folder/started"
    # Choosing inputs by the rarity of what they reach (entropic) took half of the time.
    RSQ_FUZZ_SEEDS=$PWD/$folder/seeds taskset -c "$core" fuzz/target/$triple/release/"$target" "$folder/corpus" "$folder/seeds" \
        -max_len="${longest[$target]}" -timeout=10 -rss_limit_mb=2560 -malloc_limit_mb=100000 -print_final_stats=1 -entropic=0 \
        -artifact_prefix="$folder/findings/" "${limit[@]}" >"$folder/log" 2>&1 || status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$folder/log")
    places=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$folder/log" | tail -1)
    findings=$(find "$folder/findings" -type f -newer "$folder/started" | wc -l)
    echo "$target: ${runs:-0} executions, ${places:-0} places reached, $findings findings (log: $folder/log)"
    [ "$status" -eq 0 ] && [ "$findings" -eq 0 ] || failed=1
done
exit $failed
