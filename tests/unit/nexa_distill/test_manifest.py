"""What a manifest can say, and where its settings come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nexa_data
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from nexa_data.errors import ConfigError, RecordError
from nexa_distill.endpoint import Endpoint, environment
from nexa_distill.job import run_manifest
from nexa_distill.manifest import load_manifest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def manifest(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """A manifest over three rows; keywords change it."""
    rows = [
        {"q": "a?", "about": "A.", "task": "sum"},
        {"q": "b?", "about": "", "task": "other"},
        {"q": "c?", "about": None, "task": None},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def make(**changes: Any) -> dict[str, Any]:
        document = {
            "model": "m",
            "input": str(tmp_path / "rows.jsonl"),
            "output_dir": str(tmp_path / "out"),
            "prompt_column": "q",
        }
        return {name: value for name, value in {**document, **changes}.items() if value is not None}

    return make


def test_context_and_kind_of_task_shape_the_messages(
    manifest: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "system.txt").write_text("Be brief.\n")
    document = manifest(
        context_column="about",
        task_type_column="task",
        system_prompts={"sum": "Sum up."},
        system_prompt_file=str(tmp_path / "system.txt"),
    )
    previews = run_manifest(document, env={}, dry_run=True).previews
    assert [[message["content"] for message in messages] for messages in previews] == [
        ["Sum up.", "A.\n\na?"],
        ["Be brief.", "b?"],
        ["Be brief.", "c?"],
    ]


def test_tools_of_a_row_are_asked_with_it(tmp_path: Path, manifest: Callable[..., dict[str, Any]]) -> None:
    tools = [{"type": "function", "function": {"name": "f", "description": None}}]
    table = pa.table({"m": [[{"role": "user", "content": "x"}]] * 2, "t": [json.dumps(tools), None]})
    pq.write_table(table, tmp_path / "rows.parquet")
    asked = manifest(
        input=str(tmp_path / "rows.parquet"), prompt_column=None, messages_column="m", tools_column="t"
    )
    report = run_manifest(asked, env={}, dry_run=True)
    assert report.rows == 2
    pq.write_table(table.set_column(1, "t", [["no tools", None]]), tmp_path / "rows.parquet")
    with pytest.raises(RecordError, match="t holds no list of tools"):
        run_manifest(asked, env={}, dry_run=True)


def test_the_shards_of_a_prepared_dataset_can_be_asked_about(
    tmp_path: Path, manifest: Callable[..., dict[str, Any]]
) -> None:
    (tmp_path / "numbers.csv").write_text("x,label,q\n" + "".join(f"{n},{n % 2},q{n}\n" for n in range(20)))
    config = {
        "data": {
            "dataset_name": "numbers",
            "source_uri": str(tmp_path / "numbers.csv"),
            "label": "label",
            "split": {"train": 1.0, "validation": 0.0, "test": 0.0},
            "preprocessing": {"features": ["x"], "columns": ["q"]},
        },
        "experiment": {"name": "e", "output_dir": str(tmp_path / "runs")},
    }
    prepared = nexa_data.prepare_from_config(config)
    for named in (prepared.path, prepared.path / "catalog.jsonl"):
        report = run_manifest(manifest(input=str(named), prompt_column="q"), env={}, dry_run=True)
        assert report.rows == 20
        assert report.previews[0][0]["content"].startswith("q")


def test_an_estimate_names_tokens_and_costs(manifest: Callable[..., dict[str, Any]]) -> None:
    document = manifest(max_tokens=10, n=2, prices={"m": {"prompt": 1.0, "completion": 2.0}})
    estimate = run_manifest(document, env={}, dry_run=True).estimate
    assert (estimate.requests, estimate.completion_tokens) == (3, 60)
    assert estimate.cost is not None
    assert estimate.worst_cost is not None
    assert 120e-6 < estimate.cost < estimate.worst_cost


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"system_prompt": "a", "system_prompt_file": "b"}, "system_prompt and system_prompt_file"),
        ({"json_schema": {}, "response_format": {}}, "json_schema and response_format"),
        ({"context_column": "about", "prompt_column": None, "template": "{{ q }}"}, "context_column needs"),
        ({"system_prompts": {"a": "b"}}, "system_prompts needs task_type_column"),
        ({"budget": {"max_cost": 1.0}}, "needs the price of m"),
        ({"budget": {"max_cots": 1.0}}, "max_cots"),
        ({"filters": {"must_match": "("}}, "must_match"),
        ({"journal": {"retain": "a while"}}, "journal"),
        ({"system_prompt_file": "nowhere.txt"}, "nowhere.txt"),
        ({"context_column": "nope"}, "nope"),
        ({"extra_body": {"api_key": "secret-secret-secret"}}, "looks like an API key"),
    ],
)
def test_what_can_not_be_meant_is_said_before_anything_is_sent(
    manifest: Callable[..., dict[str, Any]], changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        run_manifest(manifest(**changes), env={})
    assert "secret-secret" not in str(refused.value)


def test_a_schema_for_the_answer_becomes_structured_output(manifest: Callable[..., dict[str, Any]]) -> None:
    schema = {"title": "number", "type": "object", "properties": {"n": {"type": "integer"}}}
    settings = load_manifest(manifest(json_schema=schema)).settings()
    assert settings.parameters()["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "number", "schema": schema, "strict": True},
    }


def test_days_after_publication_can_be_named(manifest: Callable[..., dict[str, Any]]) -> None:
    assert load_manifest(manifest(journal={"retain": {"days": 3}})).journal.policy().retain == 3


def test_plain_http_to_another_machine_needs_a_word() -> None:
    env = {"OPENAI_BASE_URL": "http://10.0.0.7:8000/v1"}
    with pytest.raises(ConfigError, match="unencrypted"):
        Endpoint.of(env)
    assert Endpoint.of(env, allow_http=True).base_url == env["OPENAI_BASE_URL"]
    for url in ("http://127.0.0.1:1/v1", "http://localhost/v1", "http://[::1]:2/v1", "https://10.0.0.7/v1"):
        assert Endpoint.of({"OPENAI_BASE_URL": url}).base_url == url


def test_a_file_of_settings_is_read_only_where_it_is_named_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("export OPENAI_API_KEY='from file'\nOPENAI_ORG_ID=org\n# note\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_ORG_ID", "mine")
    assert "OPENAI_API_KEY" not in environment()
    named = environment(Path(".env"))
    assert (named["OPENAI_API_KEY"], named["OPENAI_ORG_ID"]) == ("from file", "mine")
    assert "from file" not in repr(Endpoint.of(named))
    with pytest.raises(ConfigError, match="no env file"):
        environment(tmp_path / "other")
