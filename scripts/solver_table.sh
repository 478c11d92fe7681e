#!/usr/bin/env bash
# Runs the sample's ResNet-50 once with each solver and writes docs/SOLVERS.md. Needs python3 (no packages). Each run is kept in
# out/solvers; one that is there already is not run again. Arguments go to the program.
set -euo pipefail
cd "$(dirname "$0")/.."
program=build/cpp_tests/resnet50_cifar10/resnet50_cifar10
if [ ! -x "$program" ]; then
    cmake -S . -B build -DCMAKE_BUILD_TYPE=Release >/dev/null
    cmake --build build --target resnet50_cifar10 -j 2
fi
mkdir -p out/solvers
for solver in min_max l2 percentile entropy mse auto; do
    if [ ! -f "out/solvers/$solver.json" ]; then
        "$program" --solver "$solver" --mode fp32,static --images 1000 --batch 16 --latency-runs 0 --save-recipe "out/solvers/$solver.recipe.json" \
            --report "out/solvers/$solver.html" --json "out/solvers/$solver.json.part" "$@" >"out/solvers/$solver.txt"
        mv "out/solvers/$solver.json.part" "out/solvers/$solver.json"
    fi
done
python3 scripts/solver_table.py out/solvers >docs/SOLVERS.md
echo "wrote docs/SOLVERS.md" >&2
