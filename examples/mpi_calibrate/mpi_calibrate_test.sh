#!/usr/bin/env bash
# Four ranks make the model that one process makes, byte for byte; a shard alone makes another: mpi_calibrate_test.sh OUT_DIR ASSETS PROGRAM MPIEXEC
set -euo pipefail
out=$1 assets=$2 program=$3 mpiexec=$4
if [ -z "$program" ] || [ ! -x "$mpiexec" ]; then
    echo "SKIPPED: no MPI was found when this was configured (Debian, Ubuntu: libopenmpi-dev openmpi-bin)"
    exit 0
fi
mkdir -p "$out"
rm -f "$out"/*.rsq
# Open MPI refuses root and more ranks than cores unless it is told; other MPIs ignore these.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
calibrate() { # OUT IMAGES BATCH
    "$program" "$assets/resnet50_cifar10.onnx" "$assets" "$out/$1" "$2" "$3"
}
calibrate alone.rsq 11 4
calibrate shard.rsq 2 4
"$mpiexec" -n 4 "$program" "$assets/resnet50_cifar10.onnx" "$assets" "$out/four.rsq" 11 2
"$mpiexec" -n 3 "$program" "$assets/resnet50_cifar10.onnx" "$assets" "$out/three.rsq" 11 3
cmp "$out/alone.rsq" "$out/four.rsq"
cmp "$out/alone.rsq" "$out/three.rsq"
if cmp -s "$out/alone.rsq" "$out/shard.rsq"; then
    echo "rank 0's images alone make the same model: the shards of the others were not needed" >&2
    exit 1
fi
# A rank that fails ends them all.
if "$mpiexec" -n 2 "$program" "$assets/resnet50_cifar10.onnx" "$out/missing" "$out/failed.rsq" 4 2 2>"$out/failed.txt"; then
    echo "ranks without data succeeded" >&2
    exit 1
fi
grep -q "data_batch_1.bin" "$out/failed.txt"
[ ! -e "$out/failed.rsq" ]
rm -f "$out"/*.rsq
