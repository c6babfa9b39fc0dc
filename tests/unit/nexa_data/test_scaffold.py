"""What `init` guesses is a config that loads and prepares as it is, and it says why it guessed so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from nexa_data.catalog import ShardCatalog
from nexa_data.config import load_config
from nexa_data.errors import RecordError
from nexa_data.prepare import prepare_from_config
from nexa_data.scaffold import Scaffold, scaffold

if TYPE_CHECKING:
    from pathlib import Path

N = 200
RANDOM = np.random.default_rng(3)


def _noise() -> Any:
    return RANDOM.normal(size=N)


def _scaffold(tmp_path: Path, **columns: Any) -> tuple[Scaffold, dict[str, Any]]:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table(columns), path)
    made = scaffold([str(path)])
    data: dict[str, Any] = yaml.safe_load(made.text)["data"]["preprocessing"]
    return made, data


def _prepare(tmp_path: Path, made: Scaffold) -> ShardCatalog:
    path = tmp_path / "config.yaml"
    path.write_text(made.text)
    config = load_config(path, overrides=[f"experiment.output_dir={tmp_path / 'runs'}"])
    return ShardCatalog.load(prepare_from_config(config).path)


@pytest.mark.parametrize("name", ["label", "Target", "CLASS", "y", "species"])
def test_a_label_is_known_by_its_name(tmp_path: Path, name: str) -> None:
    made, data = _scaffold(
        tmp_path, **{name: [at % 3 for at in range(N)], "x": _noise(), "few": [at % 2 for at in range(N)]}
    )
    assert data["label"] == {"column": name, "kind": "class"}
    assert data["features"] == ["x", "few"]
    assert _prepare(tmp_path, made).records() == N


def test_else_the_last_column_with_few_values_is_the_label(tmp_path: Path) -> None:
    made, data = _scaffold(
        tmp_path, few=[at % 4 for at in range(N)], kind=["ab"[at % 2] for at in range(N)], x=_noise()
    )
    assert data["label"] == {"column": "kind", "kind": "class"}
    assert any("few distinct values (2 in 200 rows)" in guess for guess in made.guesses)
    assert _prepare(tmp_path, made).records() == N


def test_else_the_last_number_is_to_be_predicted(tmp_path: Path) -> None:
    made, data = _scaffold(tmp_path, x=_noise(), price=_noise(), name=[f"n{at}" for at in range(N)])
    assert data["label"] == {"column": "price", "kind": "float"}
    assert _prepare(tmp_path, made).records() == N


def test_ids_and_texts_are_left_out_and_a_comment_says_why(tmp_path: Path) -> None:
    made, data = _scaffold(
        tmp_path,
        PatientId=[7 * at + 3 for at in range(N)],
        id=[5 * at + 3 for at in range(N)],
        counter=list(range(1, N + 1)),
        note=[f"n{at}" for at in range(N)],
        when=pa.array([at * 1000 for at in range(N)], pa.timestamp("ms")),
        empty=pa.array([None] * N, pa.float64()),
        ragged=[[1.0] * (1 + at % 2) for at in range(N)],
        vector=[[1.0, float(at)] for at in range(N)],
        flag=[at % 2 == 0 for at in range(N)],
        label=[at % 3 for at in range(N)],
    )
    assert data["features"] == ["PatientId", "vector", "flag"]
    for name in ("id", "counter", "note", "when", "empty", "ragged"):
        assert any(guess.startswith(f"left out {name!r}: ") for guess in made.guesses)
        assert f'# - "{name}"' in made.text
    assert _prepare(tmp_path, made).records() == N


def test_class_ids_that_are_not_0_1_2_are_mapped(tmp_path: Path) -> None:
    made, data = _scaffold(tmp_path, x=_noise(), label=[(-1) ** at for at in range(N)])
    assert data["label_map"] == {"-1": 0, "1": 1}
    assert _prepare(tmp_path, made).records() == N


def test_negative_whole_floats_are_numbers_to_be_predicted(tmp_path: Path) -> None:
    made, data = _scaffold(tmp_path, x=_noise(), target=[float((-1) ** at) for at in range(N)])
    assert data["label"]["kind"] == "float"
    assert _prepare(tmp_path, made).records() == N


@pytest.mark.parametrize(("rows", "kind"), [([0.25, 0.75], "distribution"), ([1.0, 1.0], "multi_hot")])
def test_the_kind_of_a_vector_label_is_seen_from_its_values(
    tmp_path: Path, rows: list[float], kind: str
) -> None:
    made, data = _scaffold(tmp_path, x=_noise(), label_probs=[rows] * N)
    assert data["label"] == {"column": "label_probs", "kind": kind}
    assert _prepare(tmp_path, made).records() == N


@pytest.mark.parametrize("n", [1, 2, 3, 6, 15])
def test_a_handful_of_rows_gets_a_split_that_is_nowhere_empty(tmp_path: Path, n: int) -> None:
    path = tmp_path / "few.csv"
    path.write_text("x,label\n" + "".join(f"{at}.5,{at % 2}\n" for at in range(n)))
    assert _prepare(tmp_path, scaffold([str(path)])).records() == n


@pytest.mark.parametrize("name", ["a b", "no", "${x}", "1", "ü: #", 'quo"te'])
def test_odd_column_names_survive_the_yaml(tmp_path: Path, name: str) -> None:
    made, _ = _scaffold(tmp_path, **{name: _noise(), "label": [at % 2 for at in range(N)]})
    (tmp_path / "c.yaml").write_text(made.text)
    assert load_config(tmp_path / "c.yaml").data.preprocessing.features == [name]
    assert _prepare(tmp_path, made).records() == N


def test_data_that_prepare_will_refuse_is_warned_of(tmp_path: Path) -> None:
    made, _ = _scaffold(tmp_path, x=_noise(), label=[None, *(at % 2 for at in range(N - 1))])
    assert "row 0: label 'label' is null" in made.warnings[0]


def test_several_files_are_all_named(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("x,label\n" + "".join(f"{at}.5,{at % 2}\n" for at in range(50)))
    made = scaffold([str(tmp_path / "a.csv"), str(tmp_path / "b.csv")])
    assert _prepare(tmp_path, made).records() == 100


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x,label\n", "no records"),
        ("x,label\nt,1\nu,2\n", "holds numbers"),
        ("x\nt\nu\nv\n", "can be a label"),
    ],
)
def test_what_no_config_can_be_made_of_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(RecordError, match=said):
        scaffold([str(tmp_path / "a.csv")])
