#!/usr/bin/env bash
# Makes the reference of the C and C++ interface, build/docs/html, by doxygen; first it checks that every declaration of
# rsquant.h is documented.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v doxygen >/dev/null; then
    echo "SKIPPED: there is no doxygen"
    exit 0
fi
mkdir -p build/docs
doxygen - <<END
$(cat docs/Doxyfile)
INPUT = include/rsquant.h
EXTRACT_ALL = NO
WARN_IF_UNDOCUMENTED = YES
GENERATE_HTML = NO
GENERATE_XML = YES
XML_OUTPUT = xml
USE_MDFILE_AS_MAINPAGE =
FILTER_PATTERNS = *.h="sed '1i /** @file */'"
END
for name in rsq_run rsq_model_layer_info rsq_last_error; do
    grep -q "<name>$name</name>" build/docs/xml/*.xml || { echo "doxygen did not read $name" >&2; exit 1; }
done
doxygen docs/Doxyfile
echo "build/docs/html/index.html"
