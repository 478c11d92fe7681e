#!/usr/bin/env bash
# A measurement: two processes that run the sample's ResNet-50 on all cores at the same time, against one alone. With fair sharing both
# together do as much as one: what is missing went into waiting for threads that were not running.
#
#     scripts/two_processes.sh [ROUNDS [BATCH]]      (3 rounds, batch 1)
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
bench() {
    build/cpp_tests/resnet50_cifar10/resnet50_cifar10 --bench --mode static --batch "${2:-1}" 2>/dev/null |
        sed -n 's/.*"img_per_s": \([0-9.]*\).*/\1/p' >"$folder/$1"
}
for round in $(seq "$rounds"); do
    bench alone "${2:-1}"
    bench first "${2:-1}" &
    bench second "${2:-1}"
    wait
    paste "$folder/alone" "$folder/first" "$folder/second" |
        awk -v round="$round" '{ printf "round %d: alone %.1f images/s; two processes %.1f + %.1f = %.2f of it\n", round, $1, $2, $3, ($2 + $3) / $1 }'
done
