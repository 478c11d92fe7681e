#!/usr/bin/env bash
# Makes docs/report.png: the beginning of ResNet-50's report, its longer lists cut short. Needs chromium.
set -euo pipefail
cd "$(dirname "$0")/.."
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
    echo "please install: chromium" >&2
    exit 1
}
cmake -S . -B build -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build build --target rsquant_cargo >/dev/null
assets=cpp_tests/resnet50_cifar10/assets
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
build/cargo/release/rsquant report "$assets/resnet50_cifar10.onnx" --calibration "$assets" --data "$assets/test_batch.bin" --samples 256 \
    --resize 224x224 --mean 0.5 --std 0.5 -o "$folder/report.html"
sed -i 's|</style>|tr:nth-child(n+14), .card:nth-child(n+7) { display: none; }</style>|' "$folder/report.html"
"$chromium" --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1280,1130 \
    --screenshot="$folder/report.png" "file://$folder/report.html" 2>/dev/null
bytes=$(stat -c %s "$folder/report.png")
[ "$bytes" -lt 300000 ] || { echo "the picture has $bytes bytes" >&2; exit 1; }
mv "$folder/report.png" docs/report.png
echo "docs/report.png: $bytes bytes"
