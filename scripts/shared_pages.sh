#!/usr/bin/env bash
# A measurement: 100 processes that map the ResNet-50 of the sample, each with a session that has run, and what each has of its own.
#
#     scripts/shared_pages.sh [PROCESSES]
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
build/cpp_tests/resnet50_cifar10/resnet50_cifar10 --mode static --images 8 --batch 8 --calibration-images 8 --latency-runs 1 \
    --save-static "$folder/resnet50.rsq" --json "$folder/run.json" --report "$folder/report.html" >/dev/null
build/cpp_tests/contract/shared_pages "$folder/resnet50.rsq" "${1:-100}"
