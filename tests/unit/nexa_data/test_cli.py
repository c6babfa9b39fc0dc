"""Each command says its result on stdout, all else on stderr, and ends with the code that its help promises."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from nexa_data.cli import main
from nexa_data.loaders.torch_loader import build_loader
from nexa_data.registry import default_registry

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]


@pytest.fixture
def nexa(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return a function from arguments to (exit code, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return (code, *capfd.readouterr())

    return run


@pytest.fixture
def config(tmp_path: Path, small_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a small config; the working directory is the test's own."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(small_config))
    return path


@pytest.fixture
def artifact(config: Path, nexa: Callable[..., tuple[int, str, str]]) -> Path:
    """Return the folder of a prepared dataset."""
    return Path(json.loads(nexa("prepare", config, "--json")[1])["uri"])


def test_prepare_prints_the_artifact_and_reuses_it_the_second_time(nexa: Any, config: Path) -> None:
    first = json.loads(nexa("prepare", config, "--json")[1])
    code, out, err = nexa("prepare", config, "--json")
    second = json.loads(out)
    assert (code, err) == (0, "")
    assert (first["reused"], second["reused"], second["records"]) == (False, True, 150)
    assert (first["uri"], first["hash"]) == (second["uri"], second["hash"])
    assert Path(first["uri"], "COMPLETE").is_file()


def test_prepare_with_set_makes_another_version_beside_it(nexa: Any, config: Path, artifact: Path) -> None:
    code, out, _ = nexa("prepare", config, "--set", "data.dataset_version=9", "--json")
    assert code == 0
    assert Path(json.loads(out)["uri"]).name.startswith("9-")
    assert Path(json.loads(out)["uri"]).parent == artifact.parent


def test_materialize_only_writes_no_shards(nexa: Any, config: Path) -> None:
    _, out, _ = nexa("prepare", config, "--materialize-only", "--json")
    made = json.loads(out)
    assert made["kind"] == "dataset-metadata"
    assert not Path(made["uri"], "shards").exists()


def test_people_are_told_path_hash_and_counts(nexa: Any, config: Path) -> None:
    code, out, err = nexa("prepare", config)
    assert (code, err) == (0, "")
    facts = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert Path(facts["artifact"]).is_dir()
    assert facts["hash"].startswith("sha256:")
    assert facts["records"].startswith("150 (train ")
    assert facts["reused"].startswith("no")


def test_stage_copies_once_and_keeps_the_hash(nexa: Any, artifact: Path, tmp_path: Path) -> None:
    first = json.loads(nexa("stage", artifact, tmp_path / "nvme", "--no-direct", "--threads", 1, "--json")[1])
    second = json.loads(nexa("stage", artifact / "catalog.jsonl", tmp_path / "nvme", "--json")[1])
    assert (first["reused"], second["reused"]) == (False, True)
    assert first["hash"] == second["hash"]
    assert Path(first["uri"]) == tmp_path / "nvme"


def test_run_prepares_validates_and_stages_and_is_idempotent(nexa: Any, config: Path, tmp_path: Path) -> None:
    arguments = ("run", config, "--set", f"data.cache_dir={tmp_path / 'nvme'}", "--json")
    first, second = (json.loads(nexa(*arguments)[1]) for _ in range(2))
    assert [step["name"] for step in first["steps"]] == ["prepare", "validate", "stage"]
    assert (first["reused"], second["reused"]) == (False, True)
    assert [step["reused"] for step in second["steps"]] == [True, False, True]
    assert first["staged"]["labels"]["source_hash"] == first["artifact"]["hash"]


def test_run_without_a_cache_folder_stages_nothing_and_ends_with_reused(nexa: Any, config: Path) -> None:
    code, out, err = nexa("run", config)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "reused=false"
    assert "stage" not in out


def test_run_refuses_an_artifact_that_was_damaged(nexa: Any, config: Path, artifact: Path) -> None:
    shard = artifact / "shards" / "test-00000.arrow"
    shard.chmod(0o644)
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    code, out, err = nexa("run", config)
    assert (code, out) == (3, "")
    assert "checksum" in err


def test_validate_accepts_what_prepare_made(nexa: Any, artifact: Path) -> None:
    for target in (artifact, artifact / "catalog.jsonl", artifact.parent / "latest"):
        code, out, err = nexa("validate", target, "--full")
        assert (code, err) == (0, "")
        assert "no findings" in out


def _truncated(folder: Path) -> None:
    os.truncate(folder / "shards" / "train-00000.arrow", 100)


def _flipped(folder: Path) -> None:
    shard = folder / "shards" / "train-00000.arrow"
    content = bytearray(shard.read_bytes())
    content[-200] ^= 1
    shard.write_bytes(content)


def _unmarked(folder: Path) -> None:
    (folder / "COMPLETE").unlink()


def _without_catalog(folder: Path) -> None:
    (folder / "catalog.jsonl").unlink()


def _other_summary(folder: Path) -> None:
    (folder / "dataset_summary.json").write_text("{}")


def _broken_meta(folder: Path) -> None:
    (folder / "meta.json").write_text("{")


def test_a_terminal_gets_the_first_findings_of_each_kind_and_their_counts(
    nexa: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = tmp_path / "catalog.jsonl"
    gone = "".join(f'{{"uri": "{number}.arrow"}}\n' for number in range(2_000))
    catalog.write_text(f'{gone}{{"uri": 3}}\n')
    code, out, err = nexa("validate", catalog)
    assert (code, out.count("\n"), err) == (3, 2_002, "")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = nexa("validate", catalog)
    assert code == 3
    assert out.count("missing-shard  ") == 26
    assert "wrong-type" in out
    assert "26 of 2,001 are shown" in out
    assert "2,000 shards: 2,001 findings" in out


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (_truncated, "wrong-size"),
        (_flipped, "wrong-checksum"),
        (_unmarked, "incomplete-artifact"),
        (_without_catalog, "missing-catalog"),
        (_other_summary, "artifact-changed"),
        (_broken_meta, "damaged-meta"),
    ],
)
def test_validate_finds_damage_and_exits_with_3(
    nexa: Any, artifact: Path, damage: Callable[[Path], None], code: str
) -> None:
    damage(artifact)
    status, out, err = nexa("validate", artifact, "--full", "--json")
    report = json.loads(out)
    assert (status, err, report["verdict"]) == (3, "", "refused")
    assert code in [finding["code"] for finding in report["findings"]]
    status, out, _ = nexa("validate", artifact, "--full")
    assert status == 3
    assert f"[{code}]" in out


def test_fail_on_decides_about_exit_3(nexa: Any, tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.jsonl"
    catalog.write_text('{"uri": 3}\n')
    assert nexa("validate", catalog)[0] == 3
    assert nexa("validate", catalog, "--fail-on", "critical")[0] == 0


def test_a_finding_of_a_catalog_line_begins_with_file_and_line(nexa: Any, tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.jsonl"
    catalog.write_text('{"uri": 3}\n')
    assert nexa("validate", catalog)[1].startswith(f"{catalog}:1: error: ")


def test_config_check_names_line_and_nearest_key(nexa: Any, tmp_path: Path) -> None:
    path = tmp_path / "typo.yaml"
    path.write_text("data:\n  dataset_name: synthetic\n  batch_sise: 3\n")
    code, out, err = nexa("config", "check", path)
    assert (code, out) == (2, "")
    assert err == f"error: {path}:3: data.batch_sise: unknown key; did you mean `batch_size`?\n"


def test_config_check_prints_all_defaults_as_json(nexa: Any, config: Path) -> None:
    code, out, _ = nexa("config", "check", config, "--json", "--set", "data.batch_size=5")
    assert (code, json.loads(out)["data"]["batch_size"]) == (0, 5)


@pytest.mark.parametrize(
    "key", ["data.augmentations=[nope]", "data.checks=[{nope: 1}]", "data.dataset_name=nope"]
)
def test_config_check_finds_unknown_names(nexa: Any, config: Path, key: str) -> None:
    code, _, err = nexa("config", "check", config, "--set", key)
    assert code == 2
    assert "known: " in err


def test_config_schema_is_json_schema(nexa: Any) -> None:
    schema = json.loads(nexa("config", "schema")[1])
    assert schema["$schema"].startswith("https://json-schema.org/")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("frobnicate",), 2, "No such command"),
        (("prepare",), 2, "Missing argument"),
        (("prepare", "nope.yaml"), 2, "nope.yaml"),
        (("prepare", "small.yaml", "--set", "data.batch_size"), 2, "key=value"),
        (
            ("prepare", "small.yaml", "--set", "data.source_uri=no/*.csv", "--set", "data.dataset_name=x"),
            1,
            "no such file",
        ),
        (("prepare", "small.yaml", "--set", "data.checks=[{range: {min: 0}}]"), 3, "nothing was published"),
        (("validate", "nope"), 1, "nope"),
        (("validate", "nowhere/*.csv"), 1, "no such file"),
        (("validate", "x.parquet", "--rules", "nope.yaml"), 1, "nope.yaml"),
        (("validate", "x.parquet", "--label", "y"), 2, "no column 'y'"),
        (("validate", "small.yaml", "--fail-on", "never"), 2, "--fail-on"),
        (("inspect", "nope.csv"), 1, "nothing of that name"),
        (("stage", "nope", "out"), 1, "nope"),
        (("stage", ".", "out", "--algorithm", "md5"), 2, "sha256"),
        (("stage", "bad.jsonl", "out"), 3, "bad.jsonl:1"),
        (("init", "nope.csv"), 1, "no such file"),
        (("doctor", "nope"), 1, "no folder"),
        (("distill", "collect"), 2, "manifest"),
        (("distill", "materialize", "nope", "out"), 1, "nope"),
    ],
)
def test_an_error_is_one_line_on_stderr_with_its_exit_code(
    nexa: Any, config: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, said: str
) -> None:
    monkeypatch.delenv("NEXA_MANIFEST", raising=False)
    (config.parent / "bad.jsonl").write_text("{\n")
    pq.write_table(pa.table({"a": [1]}), config.parent / "x.parquet")
    status, out, err = nexa(*arguments)
    assert (status, out) == (code, "")
    assert said in err
    assert all(line.startswith(("error: ", "  ")) for line in err.splitlines())


def _failing(data: object) -> object:
    del data
    raise RuntimeError("the builder broke")


@pytest.fixture
def builders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test register builders that are gone afterwards."""
    monkeypatch.setattr(default_registry, "_entries", dict(default_registry._entries))


@pytest.mark.usefixtures("builders")
def test_an_unexpected_error_has_no_traceback_unless_asked_for(nexa: Any, config: Path) -> None:
    default_registry.register("failing", _failing)
    arguments = ("prepare", config, "--set", "data.dataset_name=failing")
    code, _, err = nexa(*arguments)
    assert code == 1
    assert err.startswith("error: unexpected RuntimeError: the builder broke; ")
    assert "--debug" in err
    code, _, err = nexa(*arguments, "--debug")
    assert code == 1
    assert "Traceback" in err


@pytest.mark.usefixtures("builders")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_with_4_and_the_same_command_goes_on(
    nexa: Any, config: Path, tmp_path: Path, number: signal.Signals
) -> None:
    pending = [number]

    def stopping(data: object) -> tuple[list[list[float]], list[int]]:
        del data
        while pending:
            os.kill(os.getpid(), pending.pop())
        return [[float(at)] for at in range(100)], [at % 2 for at in range(100)]

    default_registry.register("stopping", stopping)
    before = signal.getsignal(signal.SIGTERM)
    arguments = ("prepare", config, "--set", "data.dataset_name=stopping")
    code, out, err = nexa(*arguments)
    assert (code, out) == (4, "")
    assert err.startswith("interrupted: ")
    assert not list(tmp_path.rglob("COMPLETE"))
    assert signal.getsignal(signal.SIGTERM) is before
    assert nexa(*arguments)[0] == 0


def test_options_of_the_whole_program_may_stand_last(nexa: Any, config: Path) -> None:
    code, out, err = nexa("prepare", config, "--json", "-v")
    assert code == 0
    json.loads(out)
    assert "Traceback" not in err


def test_the_version_is_that_of_the_package(nexa: Any) -> None:
    import nexa_data

    assert nexa("--version")[:2] == (0, f"nexa-data {nexa_data.__version__}\n")


@pytest.mark.parametrize("arguments", [(), ("distill",), ("config",)])
def test_without_a_command_the_help_is_shown(nexa: Any, arguments: tuple[str, ...]) -> None:
    code, out, err = nexa(*arguments)
    assert code in {0, 2}  # click before 8.2 calls it no error
    assert "Usage:" in out + err


def test_the_help_documents_the_exit_codes(nexa: Any) -> None:
    code, out, _ = nexa("--help")
    assert code == 0
    said = " ".join(out.split())
    assert "3 a check refused the data" in said
    assert "4 interrupted" in said


def test_init_writes_a_config_that_runs_and_never_overwrites_unasked(nexa: Any, config: Path) -> None:
    folder = config.parent
    (folder / "flowers.csv").write_text(
        "size,species\n" + "".join(f"{at}.5,{'ab'[at % 2]}\n" for at in range(99))
    )
    code, out, err = nexa("init", "flowers.csv")
    assert (code, out) == (0, "config.yaml\n")
    assert "guessed label 'species'" in err
    assert nexa("run", "config.yaml")[0] == 0
    written = (folder / "config.yaml").read_text()
    code, _, err = nexa("init", "flowers.csv")
    assert (code, (folder / "config.yaml").read_text()) == (2, written)
    assert "--force" in err
    assert nexa("init", "flowers.csv", "--force", "--json")[0] == 0


def test_distill_collect_passes_its_options_on(nexa: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    manifest = "configs/distill_manifest.yaml"
    code, out, _ = nexa(
        "distill", "collect", "--manifest", manifest, "--dry-run", "--max-samples", 3, "--json"
    )
    assert (code, json.loads(out)["rows"]) == (0, 3)


def test_distill_materialize_writes_the_dataset(nexa: Any, tmp_path: Path) -> None:
    table = pa.table({"label_probs": [[0.25, 0.75], [0.5, 0.5], None], "truth": ["B", "A", "A"]})
    source = tmp_path / "teacher_outputs.parquet"
    pq.write_table(table.replace_schema_metadata({b"nexa.labels": b'["A", "B"]'}), source)
    code, out, err = nexa("distill", "materialize", source, tmp_path / "out", "--label-column", "truth")
    assert (code, out) == (3, "")
    assert "row 2" in err
    arguments = (source, tmp_path / "out", "--label-column", "truth", "--skip-missing", "--json")
    code, out, _ = nexa("distill", "materialize", *arguments)
    assert (code, json.loads(out)["records"]) == (0, 2)
    rows = json.loads(Path(json.loads(out)["dataset"]).read_text())
    assert rows[0] == {"teacher_probs": [0.25, 0.75], "target": 1}


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """Three rows of a collector with raw probabilities and tokens, and one that failed."""
    sound = {
        "status": "ok",
        "label_probs": [0.5, 0.25],
        "teacher_output": "A",
        "token_logprobs": [-0.5],
        "token_bytes": [b"A"],
        "top_logprobs": [[-0.5, -1.5]],
        "top_bytes": [[b"A", b"B"]],
        "x": 1.5,
        "text": "a",
    }
    failed = dict.fromkeys(sound) | {"status": "failed", "x": 0.5, "text": "b"}
    table = pa.Table.from_pylist([sound, sound, sound, failed])
    path = tmp_path / "teacher_outputs.parquet"
    pq.write_table(table.replace_schema_metadata({b"nexa.labels": b'["A", "B"]'}), path)
    return path


@pytest.mark.parametrize("form", ["arrow", "sparse", "tokens"])
def test_distill_materialize_prints_the_config_that_loads_what_it_wrote(
    nexa: Any, answers: Path, form: str
) -> None:
    out = answers.parent / form
    of_form = () if form == "tokens" else ("--features", "x", "--residual", "class", "--dtype", "float16")
    arguments = ("distill", "materialize", answers, out, "--form", form, "--carry", "text", "--skip-missing")
    code, printed, _ = nexa(*arguments, *of_form, "--json")
    facts = json.loads(printed)
    assert (code, facts["records"], facts["skipped"]) == (0, 3, {"failed": 1})
    assert facts["bytes"] == sum(path.stat().st_size for path in (out / "shards").iterdir())
    batch = next(iter(build_loader(facts["config"], "train")))
    assert batch["text"] == ["a"] * 3
    if form == "tokens":
        assert batch["top_ids"].tolist() == [[[0, 1]]] * 3
    else:
        assert batch["features"].tolist() == [[1.5]] * 3
        assert batch["label"].shape == (3, 3)
        assert batch["label"][2].tolist() == pytest.approx([0.5, 0.25, 0.25], abs=1e-3)
    code, printed, _ = nexa(*arguments, *of_form)
    assert code == 0
    assert f"source_uri: {out}/catalog.jsonl" in printed
    assert "skipped       1 failed" in printed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--top-k", 3), "--top-k is not of --form json"),
        (("--form", "arrow", "--split", "train=x"), "for example train=0.9"),
        (("--form", "arrow", "--split", "train=0.5"), "don't sum to 1"),
        (("--residual", "error"), "fell on no label"),
        (("--form", "tokens", "--residual", "class"), "--residual is not of --form tokens"),
    ],
)
def test_distill_materialize_refuses_what_doesnt_fit(
    nexa: Any, answers: Path, options: tuple[Any, ...], said: str
) -> None:
    code, out, err = nexa("distill", "materialize", answers, answers.parent / "o", "--skip-missing", *options)
    assert (code in {2, 3}, out) == (True, "")
    assert said in err
    assert not (answers.parent / "o" / "catalog.jsonl").exists()


def test_inspect_prints_json_for_machines(nexa: Any, artifact: Path) -> None:
    code, out, err = nexa("inspect", artifact, "--rows", 2, "--json")
    seen = json.loads(out)
    assert (code, err) == (0, "")
    assert sum(split["records"] for split in seen["splits"]) == seen["records"] == 150
    assert len(seen["rows"]) == 2
    assert len(seen["rows"][0]["features"]) == 4


def test_doctor_prints_json_for_machines(nexa: Any, tmp_path: Path) -> None:
    code, out, err = nexa("doctor", tmp_path, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["folder"]["value"] == str(tmp_path)
