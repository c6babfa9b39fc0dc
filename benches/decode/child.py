"""One reading of one file by one contestant, in a process of its own: `python -m benches.decode.child FORM NAME THREADS FILE`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from benches.decode.formats import FORMS


def main() -> None:
    form, name, threads, file = sys.argv[1:]
    path, contestant = Path(file), FORMS[form].contestants[name]
    while_cached = path.read_bytes()
    del while_cached
    # The first reading loads libraries and starts threads; the second is what counts.
    contestant.read(path, int(threads))
    begun = time.perf_counter()
    rows = contestant.read(path, int(threads))
    print(json.dumps({"rows": rows, "seconds": time.perf_counter() - begun}))


if __name__ == "__main__":
    main()
