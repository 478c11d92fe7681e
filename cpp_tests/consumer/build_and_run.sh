#!/usr/bin/env bash
# Builds and runs the consumer with the package in a prefix: by find_package and by pkg-config, shared and static.
#
#     build_and_run.sh PROJECT PREFIX MODEL.onnx FOLDER
set -euo pipefail
project=$1 prefix=$2 model=$3 folder=$4
cxx=${CXX:-c++}
lib=$(dirname "$(find "$prefix" -name librsquant.a)")

echo "-- find_package"
cmake -S "$project" -B "$folder/build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF >/dev/null
cmake --build "$folder/build" >/dev/null
"$folder/build/consumer_shared" "$model"
"$folder/build/consumer_static" "$model"

echo "-- pkg-config"
export PKG_CONFIG_PATH="$lib/pkgconfig"
if ! command -v pkg-config >/dev/null; then
    echo "SKIPPED: there is no pkg-config"
    exit 0
fi
eval "shared=($(pkg-config --cflags --libs rsquant))"
eval "private=($(pkg-config --static --cflags --libs rsquant))"
"$cxx" -std=c++17 "$project/main.cpp" "${shared[@]}" -Wl,-rpath,"$lib" -o "$folder/pc_shared"
"$cxx" -std=c++17 "$project/main.cpp" "${private[@]/#-lrsquant/-l:librsquant.a}" -o "$folder/pc_static"
"$folder/pc_shared" "$model"
"$folder/pc_static" "$model"

# What runs is the library of this prefix, or none where it is linked in.
for program in build/consumer_shared pc_shared; do
    ldd "$folder/$program" | grep -F "$lib/librsquant.so." >/dev/null || { ldd "$folder/$program"; exit 1; }
done
for program in build/consumer_static pc_static; do
    if ldd "$folder/$program" | grep librsquant; then exit 1; fi
done
