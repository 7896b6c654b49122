#!/usr/bin/env bash
# Executes notebooks/image_folders.ipynb and exports it to HTML: bash scripts/notebook.sh [--quick] [FOLDER OF RUNS]
# Results that exist in the folder already (default: runs) are shown, not computed again. With --quick: little data, one
# epoch.
#
# It runs the built examples from Jupyter's Python kernel. A Rust kernel (evcxr) would compile the library once more
# into its own cache, by default without optimization, and has to be built from source itself.
set -euo pipefail
cd "$(dirname "$0")/.."

quick=0
if [ "${1:-}" = --quick ]; then
    quick=1
    shift
fi
runs=${1:-runs}
mkdir -p "$runs"
runs=$(cd "$runs" && pwd)

venv=$PWD/target/notebook-python
if ! "$venv/bin/python" -c 'import nbconvert, ipykernel' 2>/dev/null; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install -q nbconvert ipykernel
fi
if [ -n "${BACKSTITCH_DATA:-}" ]; then
    BACKSTITCH_DATA=$(cd "$BACKSTITCH_DATA" && pwd)
    export BACKSTITCH_DATA
fi
export BACKSTITCH_ROOT=$PWD BACKSTITCH_NOTEBOOK_RUNS=$runs BACKSTITCH_NOTEBOOK_QUICK=$quick
export PATH=$venv/bin:$PATH
jupyter nbconvert --to html --execute --ExecutePreprocessor.timeout=14400 --output-dir "$runs" \
    --output image_folders.html notebooks/image_folders.ipynb
echo "notebook: $runs/image_folders.html"
