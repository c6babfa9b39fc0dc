#!/usr/bin/env bash
# Builds the sdist, from it the wheel, and runs the tests against the wheel in a fresh environment without the sources.
set -euo pipefail
python=$1 uv=$(realpath "$2")
root=$(pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$uv" build --quiet --python "$python" --out-dir "$work/dist" .
ls -l "$work/dist"
"$uv" venv --quiet --python "$python" "$work/venv"
"$uv" pip install --quiet --python "$work/venv/bin/python" "$(ls "$work"/dist/*.whl)[dev,demo]"
cp -r "$root/tests" "$root/configs" "$root/pyproject.toml" "$work/"
cd "$work"
"$work/venv/bin/python" -c 'import nexa_data, pathlib; print(pathlib.Path(nexa_data.__file__).parent)'
"$work/venv/bin/python" -m pytest -q -n 2 --dist loadfile -m 'not slow' tests
