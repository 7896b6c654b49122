#!/usr/bin/env bash
# Makes a wheel of the Python package that installs where there is no Rust: scripts/wheel.sh [FOLDER], by default target/wheels.
# It runs with Python 3.10 and later on Linux with glibc 2.17 and later. zig links against that old glibc.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-target/wheels}
tools=$PWD/target/wheel-tools
if ! "$tools/bin/maturin" --version >/dev/null 2>&1; then
    python3 -m venv --clear "$tools"
    "$tools/bin/pip" install -q 'maturin[zig]>=1.9.4,<2'
fi
PATH=$tools/bin:$PATH maturin build --release --zig --compatibility manylinux2014 --strip \
    --manifest-path python/Cargo.toml --out "$folder" ${CARGO_BUILD_JOBS:+-j "$CARGO_BUILD_JOBS"}
