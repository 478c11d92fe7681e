#!/usr/bin/env bash
# Bans, licenses and sources of all dependencies by cargo-deny and deny.toml, offline. tests/dependencies.rs checks as much without
# the tool, which takes minutes to build: cargo install --locked cargo-deny.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cargo deny --version >/dev/null 2>&1; then
    echo "SKIPPED: there is no cargo-deny (cargo install --locked cargo-deny)"
    exit 0
fi
cargo deny --offline --locked check bans licenses sources
