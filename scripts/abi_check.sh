#!/usr/bin/env bash
# Compares the header's binary interface with the baseline of its RSQ_ABI_VERSION, by abidiff (apt: abigail-tools): functions,
# structs and the values of constants may be added, and nothing else. A struct that grows at its end, by the rule of struct_size,
# needs a new baseline; a change of another kind raises ABI_VERSION in build.rs.
#
#     abi_check.sh            compares
#     abi_check.sh --update   writes the baseline
#
# What is described is a library of empty functions made from the header. tests/exports.rs and tests/header_compiles.rs
# prove that the real one exports the same functions and lays out the same structs.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v abidiff >/dev/null; then
    echo "SKIPPED: there is no abidiff (apt: abigail-tools)"
    exit 0
fi
abi=$(sed -n 's/^#define RSQ_ABI_VERSION \([0-9]*\)$/\1/p' include/rsquant.h)
baseline=abi/rsquant-$abi.abi values=abi/rsquant-$abi.values
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Each function with an empty body: declarations without comments, one a line.
cc -E -P include/rsquant.h | tr '\n' ' ' | sed 's/;/;\n/g' >"$work/declarations"
{
    echo '#include "rsquant.h"'
    grep -E '^[^({]*\brsq_[a-z0-9_]+ ?\(' "$work/declarations" | grep -v typedef | sed 's/;$/ { __builtin_trap(); }/'
} >"$work/interface.c"
cc -g -O0 -w -shared -fPIC -Iinclude -Wl,-soname,"librsquant.so.$abi" -o "$work/librsquant.so" "$work/interface.c"
abidw --no-corpus-path --no-comp-dir-path --no-show-locs --out-file "$work/interface.abi" "$work/librsquant.so"
grep -E '^#define RSQ_[A-Z0-9_]+ -?[0-9]+$' include/rsquant.h | grep -vE 'RSQ_VERSION_(MAJOR|MINOR|PATCH)' | sort >"$work/values"

if [ "${1:-}" = --update ]; then
    mkdir -p abi
    cp "$work/interface.abi" "$baseline"
    cp "$work/values" "$values"
    exit 0
fi
functions=$(nm -D --defined-only "$work/librsquant.so" | grep -c ' T rsq_')
[ "$functions" -gt 40 ] || { echo "only $functions functions were read of the header" >&2; exit 1; }
abidiff --no-added-syms "$baseline" "$work/interface.abi" || { echo "the binary interface has changed: see scripts/abi_check.sh" >&2; exit 1; }
if gone=$(comm -23 <(sort "$values") "$work/values") && [ -n "$gone" ]; then
    echo "these constants have gone or changed:" >&2
    echo "$gone" >&2
    exit 1
fi
echo "ABI $abi: $functions functions, as in the baseline"
