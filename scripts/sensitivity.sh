#!/usr/bin/env bash
# Ranks the layers of the sample's ResNet-50 and tunes it to 36 dB; writes docs/SENSITIVITY.md. Takes some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
program=build/examples/resnet50_sensitivity/resnet50_sensitivity
if [ ! -x "$program" ]; then
    cmake -S . -B build -DCMAKE_BUILD_TYPE=Release >/dev/null
    cmake --build build --target resnet50_sensitivity -j 2
fi
assets=cpp_tests/resnet50_cifar10/assets
part=$(mktemp)
trap 'rm -f "$part"' EXIT
"$program" $assets/resnet50_cifar10.onnx $assets "${1:-512}" "${2:-16}" "${3:-36}" >"$part"
cp "$part" docs/SENSITIVITY.md
echo "wrote docs/SENSITIVITY.md" >&2
