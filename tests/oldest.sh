#!/usr/bin/env bash
# Runs the tests with the oldest direct dependencies that pyproject.toml allows, in an environment of its own.
set -euo pipefail
python=$1 uv=$(realpath "$2")
root=$(pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$uv" venv --quiet --python "$python" "$work/venv"
"$uv" build --quiet --wheel --python "$python" --out-dir "$work/dist" .
"$uv" pip install --quiet --python "$work/venv/bin/python" --resolution lowest-direct --requirement "$root/pyproject.toml" --extra demo
"$uv" pip install --quiet --python "$work/venv/bin/python" pytest pytest-xdist pytest-benchmark hypothesis xllamacpp --no-build
"$uv" pip install --quiet --python "$work/venv/bin/python" --no-deps "$work"/dist/*.whl
"$uv" pip list --python "$work/venv/bin/python" | grep -iE '^(torch|numpy|pyarrow|pydantic|omegaconf|openai|typer|rich|aiohttp|orjson|jinja2|pyyaml|scikit-learn) '
cp -r "$root/tests" "$root/configs" "$root/pyproject.toml" "$work/"
cd "$work"
"$work/venv/bin/python" -m pytest -q -n 2 --dist loadfile -m 'not slow' tests
