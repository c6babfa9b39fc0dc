"""`data.read` on the command line and in Python: the same keys, the same faults."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from nexa_data.cli import main
from nexa_data.config import load_config
from nexa_data.convert import convert
from nexa_data.errors import ConfigError
from nexa_data.inspection import inspect_target
from nexa_data.read_options import read_options

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def piped(tmp_path: Path) -> Path:
    (tmp_path / "a.csv").write_text("id|x,y\n007|1,5\n008|NA\n")
    return tmp_path / "a.csv"


OPTIONS = {"delimiter": "|", "nulls": ["NA"], "types": {"id": "int64"}}
PAIRS = ["--read", "delimiter=|", "--read", "nulls=[NA]", "--read", "types.id=int64"]
ROWS = [{"id": 7, "x,y": "1,5"}, {"id": 8, "x,y": None}]


def test_convert_reads_as_it_is_told(piped: Path, tmp_path: Path) -> None:
    convert(piped, tmp_path / "a.parquet", "parquet", read=OPTIONS)
    assert main(["convert", str(piped), str(tmp_path / "b.parquet"), "--to", "parquet", *PAIRS]) == 0
    for name in ("a.parquet", "b.parquet"):
        assert pq.read_table(tmp_path / name).to_pylist() == ROWS


def test_inspect_reads_as_it_is_told(piped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect_target(str(piped), read=OPTIONS).rows == ROWS
    nameless = piped.rename(tmp_path / "a.dat")
    assert main(["inspect", str(nameless), "--from", "csv", *PAIRS, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (found["format"], found["records"], found["rows"]) == ("csv", 2, ROWS)


@pytest.mark.parametrize(
    ("pair", "what"),
    [
        (
            "delimter=;",
            "override data.read.delimter=;: data.read.delimter: unknown key; did you mean `delimiter`",
        ),
        ("delimiter=ab", "one ASCII character"),
        ("infer=0", "data.read.infer"),
        ("delimiter", "not of the form key=value"),
        ("types.id=in64", "no type 'in64'; did you mean 'int64'"),
        ("types.idd=int64", "no column 'idd'; did you mean 'id'"),
    ],
)
@pytest.mark.parametrize("command", ["convert", "inspect"])
def test_a_wrong_option_is_refused_as_in_a_config(
    piped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, pair: str, what: str
) -> None:
    more = [str(tmp_path / "out"), "--to", "jsonl"] if command == "convert" else []
    column = ["--read", "delimiter=|"]
    assert main([command, str(piped), *more, *column, "--read", pair]) == 2
    assert what in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_unknown_key_of_a_mapping_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"data\.read\.delimter: unknown key; did you mean `delimiter`"):
        read_options({"delimter": ";"})


@pytest.mark.parametrize("mark", [*";|,#:*&!%>-'\"", "\t"])
def test_every_mark_can_be_the_value_of_an_override_and_a_tab_may_be_written_out(mark: str) -> None:
    assert read_options([f"delimiter={mark}"]).delimiter == mark
    config = load_config({"data": {"dataset_name": "x"}}, overrides=[f"data.read.delimiter={mark}"])
    assert config.data.read.delimiter == mark
    assert read_options([r"delimiter=\t"]).delimiter == "\t"
    assert read_options(["delimiter=~"]).delimiter is None
