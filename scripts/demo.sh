#!/usr/bin/env bash
# The main job: builds what is not built, then runs ResNet-50 over CIFAR-10 in float, static and dynamic int8. Arguments go to the program.
set -euo pipefail
cd "$(dirname "$0")/.."
./scripts/install_deps.sh
cmake -S . -B build -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build build --target resnet50_cifar10 -j 2
exec build/cpp_tests/resnet50_cifar10/resnet50_cifar10 "$@"
