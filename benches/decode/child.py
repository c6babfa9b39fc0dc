"""Readings of one file by one contestant, in a process of its own: `python -m benches.decode.child FORM NAME THREADS FILE ROWS`."""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

from benches.decode.cached import read_files
from benches.decode.formats import FORMS
from benches.staging.cache import files_under

_MOST_READINGS, _ENOUGH_S = 5, 0.5


def main() -> None:
    form, name, threads, file, rows = sys.argv[1:]
    path, contestant = Path(file), FORMS[form].contestants[name]
    read_files([path] if path.is_file() else files_under(path))
    # The first reading loads libraries and starts threads.
    contestant.read(path, int(threads))
    seconds: list[float] = []
    while not seconds or (sum(seconds) < _ENOUGH_S and len(seconds) < _MOST_READINGS):
        begun = time.perf_counter()
        found = contestant.read(path, int(threads))
        seconds.append(time.perf_counter() - begun)
        assert found in {None, int(rows)}, f"{found} of {rows} records were read"
    print(json.dumps({"rows": int(rows), "seconds": statistics.median(seconds)}))


if __name__ == "__main__":
    main()
