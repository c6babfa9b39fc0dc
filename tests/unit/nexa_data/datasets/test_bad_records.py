from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from nexa_data.config_reading import RecordErrors
from nexa_data.datasets.bad_records import BadRecords
from nexa_data.datasets.rows import BadRows
from nexa_data.errors import RecordError

if TYPE_CHECKING:
    from pathlib import Path


def bad(row: int, count: int = 1, raw: bytes = b"{broken", **more: Any) -> BadRows:
    return BadRows("a.jsonl", row, count, "it is broken", offset=7 * row, raw=raw, **more)


def test_failing_names_the_place_of_the_first_and_the_remedy() -> None:
    with pytest.raises(RecordError, match=r"a\.jsonl, row 3, byte 21, column 'x': it is broken; .*on_error"):
        BadRecords(RecordErrors()).take([bad(3, column="x"), bad(4)])


def test_skipping_counts_and_lists_the_first_ones() -> None:
    records = BadRecords(RecordErrors(action="skip", max_share=1.0))
    records.take([bad(at) for at in range(25)])
    records.take([bad(30, count=5), bad(40, count=0)])
    summary = records.finish(70)
    assert summary is not None
    assert (summary["count"], summary["torn"], summary["share"]) == (30, 1, 0.3)
    assert [each["row"] for each in summary["first"]] == list(range(10))


def test_the_quarantine_has_every_record_with_its_bytes(tmp_path: Path) -> None:
    policy = RecordErrors(action="quarantine", max_share=1.0)
    with BadRecords(policy, tmp_path / "q.jsonl") as records:
        records.take([bad(1), bad(2, raw=b"\xff\x00"), bad(3, raw='"ü\n'.encode())])
        records.finish(0)
    lines = [json.loads(line) for line in (tmp_path / "q.jsonl").read_text("utf-8").splitlines()]
    assert [line["row"] for line in lines] == [1, 2, 3]
    assert (lines[0]["raw"], lines[1]["raw_base64"], lines[2]["raw"]) == ("{broken", "/wA=", '"ü\n')
    assert (lines[0]["file"], lines[0]["offset"], lines[0]["reason"]) == ("a.jsonl", 7, "it is broken")


def test_a_walk_without_bad_records_leaves_no_quarantine_behind(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text("of the run before")
    with BadRecords(RecordErrors(action="quarantine"), tmp_path / "q.jsonl") as records:
        assert records.finish(5) is not None
    assert not (tmp_path / "q.jsonl").exists()


@pytest.mark.parametrize(("count", "refused"), [(10, False), (11, True)])
def test_a_share_above_the_threshold_fails_at_the_end(count: int, *, refused: bool) -> None:
    records = BadRecords(RecordErrors(action="skip", max_share=0.1))
    records.take([bad(at) for at in range(count)])
    if not refused:
        assert records.finish(90) is not None
        return
    with pytest.raises(
        RecordError, match=r"11 of 101 records .*10\.89%.*the first: a\.jsonl, row 0.*max_share"
    ):
        records.finish(90)


def test_a_number_above_the_threshold_fails_at_once() -> None:
    records = BadRecords(RecordErrors(action="skip", max_records=3))
    records.take([bad(at) for at in range(3)])
    with pytest.raises(RecordError, match="4 records can't be used, 3 are allowed"):
        records.take([bad(9)])
