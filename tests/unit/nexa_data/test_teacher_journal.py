"""The native journal as Python sees it: what is durable, what a failed write leaves, what isn't taken in."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow as pa
import pytest
from nexa_data import _core
from nexa_data.errors import ArtifactError

KEY = bytes(range(16))
INTENT, ANSWER = 1, 2


def body(text: str) -> bytes:
    return json.dumps({"choices": [{"message": {"content": text}}], "usage": {"prompt_tokens": 3}}).encode()


def test_a_synced_answer_is_told_once_and_read_as_a_row(tmp_path: Path) -> None:
    journal = _core.TeacherJournal(tmp_path / "j")
    journal.append(INTENT, KEY, 1, (7 << 32) + 5)
    journal.append(ANSWER, KEY, 1, 2500, body("hi"))
    assert journal.sync() == [(KEY, 1, None, 1, 3, -1, False)]
    assert journal.sync() == []
    (row,) = pa.record_batch(journal.completions(KEY, logprobs=False)).to_pylist()
    assert (row["text"], row["latency_ms"], row["prompt_tokens"], row["completion_tokens"]) == (
        "hi",
        2.5,
        3,
        None,
    )
    totals = journal.totals()
    assert (totals["answered"], totals["prompt_tokens"], totals["completion_tokens"]) == (1, 3, 5)
    reading = _core.TeacherJournal(tmp_path / "j", read_only=True)
    assert reading.body(KEY) == body("hi")
    with pytest.raises(ArtifactError, match="isn't open for writing"):
        reading.append(INTENT, KEY, 2, 0)
    journal.close()
    assert oct((tmp_path / "j").stat().st_mode)[-3:] == "600"


def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    journal = _core.TeacherJournal(tmp_path / "j")
    with pytest.raises(ValueError, match="16 bytes"):
        journal.append(INTENT, b"short", 1, 0)
    with pytest.raises(ValueError, match="no kind 9"):
        journal.append(9, KEY, 1, 0)
    for ask in (journal.states, lambda keys: journal.completions(keys, logprobs=False)):
        with pytest.raises(ValueError, match="16 bytes each, and here are 17"):
            ask(KEY + b"x")
    assert journal.sync() == []


_FULL = """
import resource, signal, sys
from nexa_data import _core
from nexa_data.errors import ArtifactError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = _core.TeacherJournal(sys.argv[1], compress=False)
key, other = bytes(16), b"x" * 16
journal.append(1, key, 1, 0)
journal.sync()
resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
journal.append(2, key, 1, 0, b"x" * 5000)
for _ in range(3):
    try:
        journal.sync()
    except ArtifactError as error:
        print("an earlier write failed" in str(error))
    else:
        print("said to be durable")
try:
    journal.append(1, other, 1, 0)
except ArtifactError:
    print("refused")
journal.close()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
again = _core.TeacherJournal(sys.argv[1])
print(again.state(key), again.state(other), again.damaged_bytes)
"""


def test_after_a_write_that_failed_nothing_is_said_to_be_durable(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_FULL), str(tmp_path / "j")],
        env={"PYTHONPATH": str(Path(_core.__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = ended.stdout.splitlines()
    assert lines == ["False", "True", "True", "refused", "1 0 0"], ended.stderr
