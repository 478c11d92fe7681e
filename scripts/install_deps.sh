#!/usr/bin/env bash
# Installs what building and testing need and is missing: cmake, a C++ compiler, doctest, and what tests of the package and the
# documentation use, and an MPI for the example. As root by apt; otherwise says what to install.
set -euo pipefail
missing=()
command -v cmake >/dev/null || missing+=(cmake)
command -v g++ >/dev/null || missing+=(g++)
command -v make >/dev/null || missing+=(make)
command -v pkg-config >/dev/null || missing+=(pkg-config)
command -v abidiff >/dev/null || missing+=(abigail-tools)
command -v doxygen >/dev/null || missing+=(doxygen)
command -v mpicxx >/dev/null || missing+=(libopenmpi-dev)
command -v mpirun >/dev/null || missing+=(openmpi-bin)
[ -e /usr/include/doctest/doctest.h ] || missing+=(doctest-dev)
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "please install: ${missing[*]}" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
