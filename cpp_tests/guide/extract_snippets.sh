#!/usr/bin/env bash
# Writes the snippets of a page in one language: "file" ones as they stand, then the others in order as the body of main.
#
#     extract_snippets.sh PAGE cpp|c
set -euo pipefail
page=$1 language=$2
snippets() {
    awk -v open="\`\`\`$1" '$0 == "```" { inside = 0 } inside { print } $0 == open { inside = 1 }' "$page"
}
if [ "$language" = c ]; then
    body=$(snippets c)
    [ -n "$body" ] || exit 1
    echo "$body"
    exit 0
fi
body=$(snippets cpp)
[ -n "$body" ] || exit 1
snippets "cpp file"
printf 'int main(int argc, char** argv) {\n%s\nreturn 0;\n}\n' "$body"
