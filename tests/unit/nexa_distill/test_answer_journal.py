"""The journal gives back what it was given, whatever the last crash left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from nexa_data.errors import ArtifactError
from nexa_distill.journal import AnswerJournal


def key(number: int) -> str:
    return f"{number:032x}"


def test_what_was_appended_is_there_after_opening_again(tmp_path: Path) -> None:
    long = {"text": "ä" * 200_000}
    with AnswerJournal(tmp_path / "j") as journal:
        journal.append(key(1), {"text": "one"})
        journal.append(key(2), long)
        journal.append(key(3), {"text": None})
        assert journal.read(key(2)) == long
    with AnswerJournal(tmp_path / "j") as journal:
        assert len(journal) == 3
        assert [journal.read(key(n)) for n in (3, 2, 1)] == [{"text": None}, long, {"text": "one"}]
        assert key(4) not in journal


@given(cut=st.integers(0, 400))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_file_cut_at_any_byte_keeps_its_whole_records_and_takes_new_ones(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "j"
    path.unlink(missing_ok=True)
    with AnswerJournal(path) as journal:
        for number in range(5):
            journal.append(key(number), {"text": "x" * number})
    raw = path.read_bytes()
    path.write_bytes(raw[:cut])
    whole = raw[:cut].count(b"\n")
    with AnswerJournal(path) as journal:
        assert len(journal) == whole
        journal.append(key(99), {"text": "new"})
    with AnswerJournal(path) as journal:
        assert [journal.read(key(n))["text"] for n in range(whole)] == ["x" * n for n in range(whole)]
        assert journal.read(key(99)) == {"text": "new"}


def test_a_damaged_line_loses_itself_only_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with AnswerJournal(tmp_path / "j") as journal:
        for number in range(3):
            journal.append(key(number), {"text": str(number)})
    lines = (tmp_path / "j").read_bytes().splitlines(keepends=True)
    lines[1] = b"\0" * (len(lines[1]) - 1) + b"\n"
    (tmp_path / "j").write_bytes(b"".join(lines))
    with AnswerJournal(tmp_path / "j") as journal:
        assert key(1) not in journal
        assert journal.read(key(2)) == {"text": "2"}
    assert "1 damaged lines" in caplog.text


def test_taking_over_leaves_alone_what_is_there(tmp_path: Path) -> None:
    with AnswerJournal(tmp_path / "j") as journal:
        journal.append(key(1), {"text": "mine"})
        journal.append_all([(key(1), {"text": "other"}), (key(2), {"text": "new"})])
        assert journal.read(key(1)) == {"text": "mine"}
        assert journal.read(key(2)) == {"text": "new"}


def test_only_the_owner_may_read_the_answers(tmp_path: Path) -> None:
    with AnswerJournal(tmp_path / "j"):
        assert (tmp_path / "j").stat().st_mode & 0o777 == 0o600


def test_a_place_that_can_not_be_written_is_said_before_anything_is_paid(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="answers can't be kept"):
        AnswerJournal(tmp_path / "absent" / "j")


def test_a_full_disk_is_an_error_with_a_remedy() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full (Linux)")
    journal: Any = AnswerJournal.__new__(AnswerJournal)
    journal.path = Path("/dev/full")
    journal._places, journal._unsynced, journal._end = {}, 0, 0
    with Path("/dev/full").open("r+b", buffering=0) as full:
        journal._file = full
        with pytest.raises(ArtifactError, match="make room"):
            journal._write(key(1), {})
    assert len(journal) == 0
