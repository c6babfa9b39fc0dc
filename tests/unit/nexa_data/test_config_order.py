from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from nexa_data.cli import main
from nexa_data.config import load_config
from nexa_data.errors import ConfigError
from nexa_data.pipeline import DataPipeline

if TYPE_CHECKING:
    from pathlib import Path


def data(**keys: Any) -> dict[str, Any]:
    return {"data": {"dataset_name": "x"} | keys}


def source(**keys: Any) -> dict[str, Any]:
    return {"artifact": "a"} | keys


def test_the_list_of_sources_is_a_whole_mixture() -> None:
    short = load_config(data(mixture=[source(weight=2), source(weight=1)])).data.mixture
    whole = load_config(
        data(mixture={"sources": [source(weight=2), source(weight=1)], "stop": "first"})
    ).data.mixture
    assert short is not None
    assert whole is not None
    assert short.sources == whole.sources
    assert short.stop == whole.stop == "first"


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"order": {"window": 4}}, "window wants mode block; set it, or leave it out"),
        ({"order": {"mode": "none", "block": 4}}, "block wants mode block"),
        ({"order": {"direct": True}}, "direct wants mode block"),
        ({"order": {"block": 4, "window": 4}}, "block and window want mode block; set it, or leave them out"),
        (
            {"order": {"mode": "block", "direct": "always"}},
            "order.direct: input should be 'auto', True or False",
        ),
        ({"order": {"mode": "block", "balance": "classes"}}, "balance wants mode full"),
        ({"order": {"mode": "none", "balance": "classes"}}, "balance wants mode full"),
        ({"mixture": []}, "at least 1 item"),
        ({"mixture": [source(weight=1, repeat=2)]}, "repeat says all"),
        ({"mixture": [source(repeat=1, max_epochs=2)]}, "repeat says all"),
        ({"mixture": [source(max_epochs=2)]}, "max_epochs bounds a weight"),
        ({"mixture": [source(weight=1), source()]}, "some sources have a weight"),
        ({"mixture": [source(weight=1), source(repeat=1)]}, "some sources have a weight"),
        ({"mixture": [source(weight=True)]}, "not true or false"),
        ({"mixture": {"sources": [source()], "stop": "all"}}, "leave stop out"),
        ({"mixture": [source()], "source_uri": "a.csv"}, "prepare it, and name the artifact"),
        ({"mixture": [source()], "filters": [{"label": {"allow": [1]}}]}, "at the mixture's sources"),
        ({"mixture": [source()], "checks": [{"max_nan_share": 0}]}, "were checked"),
        ({"mixture": [source()], "cache_dir": "nvme"}, "staged folders"),
        ({"mixture": [source()], "order": {"mode": "block"}}, "full or none"),
        ({"mixture": [source()], "order": {"balance": "classes"}}, "not balanced"),
    ],
)
def test_what_contradicts_itself_is_refused_with_the_reason(keys: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load_config(data(**keys))


def test_an_unknown_key_of_a_source_is_named_with_its_line_and_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("data:\n  dataset_name: x\n  mixture:\n    - artifact: a\n      wieght: 1\n")
    with pytest.raises(ConfigError, match=r"mixture\.sources\.0\.wieght: unknown key; did you mean `weight`"):
        load_config(path)


def test_a_mixture_is_checked_without_its_artifacts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "data:\n  dataset_name: x\n  mixture: [{artifact: nowhere, filters: [{label: {allow: [1]}}]}]\n"
    )
    assert main(["config", "check", str(path)]) == 0
    assert "ok" in capsys.readouterr().out
    path.write_text("data:\n  dataset_name: x\n  mixture: [{artifact: nowhere, filters: [{lable: {}}]}]\n")
    assert main(["config", "check", str(path)]) == 2
    assert "unknown filter lable" in capsys.readouterr().err


def test_nothing_is_prepared_of_a_mixture() -> None:
    with pytest.raises(ConfigError, match="a mixture has nothing to prepare; prepare its sources"):
        DataPipeline(data(mixture=[source()]))
