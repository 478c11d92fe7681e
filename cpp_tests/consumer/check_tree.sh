#!/usr/bin/env bash
# The installed tree is whole, its library has the versioned name with its links, and no file knows where it was made.
#
#     check_tree.sh PREFIX FORBIDDEN...
set -euo pipefail
prefix=$1
shift
fail() {
    echo "$1" >&2
    exit 1
}
number() { sed -n "s/^#define RSQ_$1 \([0-9]*\)$/\1/p" "$prefix/include/rsquant.h"; }
abi=$(number ABI_VERSION)
version=$(number VERSION_MAJOR).$(number VERSION_MINOR).$(number VERSION_PATCH)
lib=$(dirname "$(find "$prefix" -name librsquant.a)")

for file in "$prefix/include/rsquant.h" "$prefix/include/rsquant.hpp" "$lib/cmake/rsquant/rsquantConfig.cmake" \
    "$lib/cmake/rsquant/rsquantConfigVersion.cmake" "$lib/pkgconfig/rsquant.pc" "$lib/librsquant.so.$version"; do
    [ -f "$file" ] || fail "$file is not installed"
done
[ "$(readlink "$lib/librsquant.so")" = "librsquant.so.$abi" ] || fail "librsquant.so does not lead to librsquant.so.$abi"
[ "$(readlink "$lib/librsquant.so.$abi")" = "librsquant.so.$version" ] || fail "librsquant.so.$abi does not lead to librsquant.so.$version"
soname=$(readelf -d "$lib/librsquant.so.$version" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
[ "$soname" = "librsquant.so.$abi" ] || fail "the library's SONAME is $soname, not librsquant.so.$abi"
# The command runs by itself and is of the same version.
[ "$("$prefix/bin/rsquant" --version)" = "rsquant $version" ] || fail "$prefix/bin/rsquant is not the command of rsquant $version"
for path in "$@"; do
    if grep -rlF --include='*.cmake' --include='*.pc' --include='*.h' --include='*.hpp' -- "$path" "$prefix"; then
        fail "these files name $path"
    fi
done
