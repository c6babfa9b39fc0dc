"""The job checks everything before it sends anything, and its exit codes say what happened."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import yaml
from nexa_data.data_generation_job import main, run_manifest
from nexa_data.errors import ConfigError, RecordError
from nexa_distill.manifest import load_manifest, manifest_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[3]
SECRET = "sk-live-0123456789abcdefghij"  # noqa: S105 (a test looks for it everywhere)


class Upstream(ThreadingHTTPServer):
    """Answers each prompt with itself; remembers what it was asked; can be told to hold its answers."""

    daemon_threads = True

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.go_on = threading.Event()
        self.go_on.set()
        self.asked = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Upstream
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.bodies.append(body)
        self.server.headers.append(dict(self.headers))
        self.server.asked.set()
        self.server.go_on.wait()
        text = body["messages"][-1]["content"]
        document = {"choices": [{"message": {"content": f"to {text}"}, "finish_reason": "stop"}]}
        raw = json.dumps(document if self.server.status == 200 else {"error": {"message": "no"}}).encode()
        try:
            self.send_response(self.server.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        pass


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    """A loopback endpoint, and an environment that points to it without a key."""
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "NEXA_MANIFEST"):
        monkeypatch.delenv(name, raising=False)
    with Upstream() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield running
        finally:
            running.go_on.set()
            running.shutdown()
            thread.join()


@pytest.fixture
def manifest(tmp_path: Path) -> Callable[..., Path]:
    """Write a manifest over three rows; keyword arguments replace or (None) remove keys."""
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"q": f"q{n}", "n": n}) + "\n" for n in range(3)))

    def write(**changes: Any) -> Path:
        document = {
            "model": "m",
            "input": str(data),
            "prompt_column": "q",
            "output_dir": str(tmp_path / "out"),
        }
        document = {name: value for name, value in {**document, **changes}.items() if value is not None}
        path = tmp_path / "manifest.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    return write


def test_a_manifest_becomes_an_artifact_and_the_result_is_on_stdout(
    upstream: Upstream, manifest: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv=["--manifest", str(manifest(system_prompt="Be brief."))]) == 0
    table = pq.read_table(tmp_path / "out" / "teacher_outputs.parquet")
    assert table.select(["q", "n", "teacher_output"]).to_pylist() == [
        {"q": f"q{n}", "n": n, "teacher_output": f"to q{n}"} for n in range(3)
    ]
    assert upstream.bodies[0]["messages"][0] == {"role": "system", "content": "Be brief."}
    shown = capsys.readouterr()
    assert str(tmp_path / "out") in shown.out
    assert "sha256:" in shown.out
    assert shown.err.startswith("asking m at http://127.0.0.1")
    assert "requests: 3 of " in shown.err
    assert len(shown.err.splitlines()) == 1


def test_the_manifest_may_come_from_the_environment_and_options_win_over_it(
    upstream: Upstream,
    manifest: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NEXA_MANIFEST", str(manifest(max_samples=3)))
    assert main(argv=["--json", "--max-samples", "2", "--output", str(tmp_path / "there")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["counts"]["ok"] == report["rows"] == 2
    assert report["artifact"]["uri"] == str(tmp_path / "there")
    assert len(upstream.bodies) == 2
    assert not (tmp_path / "out").exists()


def test_the_environments_key_organisation_and_project_are_sent_and_never_shown(
    upstream: Upstream,
    manifest: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    assert main(argv=["--manifest", str(manifest()), "--dry-run"]) == 0
    assert main(argv=["--manifest", str(manifest())]) == 0
    sent = {name.lower(): value for name, value in upstream.headers[0].items()}
    assert sent["authorization"] == f"Bearer {SECRET}"
    assert (sent["openai-organization"], sent["openai-project"]) == ("org-1", "proj-1")
    shown = capsys.readouterr()
    assert SECRET not in shown.out + shown.err
    assert all(SECRET.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_dry_run_shows_the_plan_and_three_prompts_and_sends_and_writes_nothing(
    upstream: Upstream, manifest: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = manifest(prompt_column=None, template="Answer {{ q }} ({{ n }})", labels=["A", "B"])
    assert main(argv=["--manifest", str(path), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "user: Answer q2 (2)" in shown
    assert "OPENAI_API_KEY is not set" in shown
    assert '"top_logprobs": 20' in shown
    assert re.search(r"requests +3 of \d+ B in all, up to 64 at once", shown)
    assert re.search(r"tokens +about \d+ of prompts, unbounded of answers", shown)
    assert "nothing was sent" in shown
    assert upstream.bodies == []
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("upstream")
def test_parquet_csv_and_jsonl_of_a_glob_are_asked_about_in_sorted_order(
    manifest: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "c.jsonl").write_text('\ufeff{"q": "json", "n": 3}\n\n')
    pq.write_table(pa.table({"q": ["parquet"], "n": pa.array([1], pa.int16())}), folder / "a.parquet")
    pa.csv.write_csv(pa.table({"q": ["007"], "n": [2]}), folder / "b.csv")
    assert main(argv=["--manifest", str(manifest(input=str(folder / "*")))]) == 0
    rows = pq.read_table(tmp_path / "out" / "teacher_outputs.parquet").to_pylist()
    assert [(row["q"], row["n"], row["teacher_output"]) for row in rows] == [
        ("parquet", 1, "to parquet"),
        ("007", 2, "to 007"),
        ("json", 3, "to json"),
    ]


@pytest.mark.usefixtures("upstream")
def test_prompts_in_csv_are_text_though_they_look_like_numbers(
    manifest: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text('q,n\n007,1\n"1,\n2",2\n')
    assert main(argv=["--manifest", str(manifest(input=str(tmp_path / "in.csv")))]) == 0
    rows = pq.read_table(tmp_path / "out" / "teacher_outputs.parquet").to_pylist()
    assert [(row["q"], row["n"]) for row in rows] == [("007", 1), ("1,\n2", 2)]


@pytest.mark.usefixtures("upstream")
def test_carried_columns_of_parquet_keep_their_types(manifest: Callable[..., Path], tmp_path: Path) -> None:
    table = pa.table(
        {
            "q": ["a", "b"],
            "n": pa.array([1, None], pa.int8()),
            "v": pa.array([[1.5], []], pa.list_(pa.float32())),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    assert main(argv=["--manifest", str(manifest(input=str(tmp_path / "in.parquet")))]) == 0
    written = pq.read_table(tmp_path / "out" / "teacher_outputs.parquet").select(["q", "n", "v"])
    assert written.schema.remove_metadata() == table.schema
    assert written.to_pylist() == table.to_pylist()


@pytest.mark.parametrize("as_text", [True, False])
def test_messages_are_taken_as_lists_or_as_json_text(
    upstream: Upstream,
    manifest: Callable[..., Path],
    tmp_path: Path,
    as_text: bool,  # noqa: FBT001
) -> None:
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yes?"},
        {"role": "user", "content": "x"},
    ]
    own = [{"role": "system", "content": "mine"}, {"role": "user", "content": "y"}]
    lines = [{"m": json.dumps(value) if as_text else value} for value in (turns, own)]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    path = manifest(
        input=str(tmp_path / "m.jsonl"),
        prompt_column=None,
        messages_column="m",
        system_prompt="S",
        concurrency=1,
    )
    assert main(argv=["--manifest", str(path)]) == 0
    sent = [body["messages"] for body in upstream.bodies]
    assert sent == [[{"role": "system", "content": "S"}, *turns], own]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"modle": "x"}, r"manifest.yaml:\d+: modle: unknown key; did you mean `model`"),
        ({"model": None}, "model is missing"),
        ({"template": "{{ q }}"}, "exactly one of"),
        ({"prompt_column": None}, "exactly one of"),
        ({"concurrency": 0}, r"manifest.yaml:\d+: concurrency"),
        ({"labels": ["A"]}, "labels"),
        ({"input": "nowhere/*.jsonl"}, "names no file"),
        ({"input": "."}, "is a folder"),
        ({"input": str(Path(__file__))}, "unknown kind of file"),
        ({"prompt_column": "question"}, r"no column 'question' \(prompt_column\); its columns: q, n"),
        ({"carry_columns": ["n", "x"]}, r"no column 'x' \(carry_columns\)"),
        ({"prompt_column": None, "template": "{{ q }} {{ absent }}"}, r"no column 'absent' \(template\)"),
        ({"prompt_column": None, "template": "{{ q "}, "template: line 1"),
        ({"prompt_column": None, "template": "fixed"}, "names no column"),
        ({"api_key": "whatever"}, "api_key looks like an API key"),
        ({"system_prompt": "use sk-abcdefghijklmnopqrstuvwx"}, "system_prompt looks like an API key"),
        ({"extra_body": {"headers": {"x": [SECRET]}}}, "extra_body.headers.x.0 looks like an API key"),
        ({"extra_body": {"n": 3}}, "extra_body.n"),
    ],
)
def test_a_bad_manifest_is_exit_2_in_one_line_before_anything_is_sent(
    upstream: Upstream,
    manifest: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    says: str,
) -> None:
    path = manifest(**changes)
    with pytest.raises(ConfigError, match=says):
        run_manifest(path)
    assert main(argv=["--manifest", str(path)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert "sk-" not in shown.err
    assert upstream.bodies == []


def test_usage_errors_are_exit_2(
    upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str], manifest: Callable[..., Path]
) -> None:
    assert main(argv=[]) == 2
    assert "NEXA_MANIFEST" in capsys.readouterr().err
    assert main(argv=["--nonsense"]) == 2
    assert main(argv=["--manifest", str(tmp_path / "absent.yaml")]) == 2
    (tmp_path / "bad.yaml").write_text("model: [x\n")
    assert main(argv=["--manifest", str(tmp_path / "bad.yaml")]) == 2
    assert "bad.yaml:2" in capsys.readouterr().err
    (tmp_path / "list.yaml").write_text("- x\n")
    assert main(argv=["--manifest", str(tmp_path / "list.yaml")]) == 2
    assert main(argv=["--manifest", str(manifest()), "--max-samples", "0"]) == 2
    assert main(argv=["--help"]) == 0
    assert upstream.bodies == []


def test_a_missing_key_is_exit_2_unless_the_endpoint_is_on_this_machine(
    manifest: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", "https://user:pw@teacher.invalid/v1")
    assert main(argv=["--manifest", str(manifest())]) == 2
    shown = capsys.readouterr().err
    assert "export OPENAI_API_KEY" in shown
    assert "pw" not in shown
    monkeypatch.setenv("OPENAI_BASE_URL", "teacher.invalid/v1")
    assert main(argv=["--manifest", str(manifest())]) == 2


@pytest.mark.parametrize(
    ("lines", "changes", "says"),
    [
        ('{"q": "x"}\n{"q": ', {}, "data.jsonl:2: not JSON"),
        ('{"q": "x"}\n[1]', {}, "data.jsonl:2: the line holds no JSON object"),
        ('{"q": "x"}\n{"q": ""}', {}, "data.jsonl:2: the prompt is empty"),
        ('{"q": "x"}\n{"q": null}', {}, "data.jsonl:2: the prompt is NoneType"),
        (
            '{"q": "x"}\n{"p": "y"}',
            {"prompt_column": None, "template": "{{ q }}"},
            "data.jsonl:2: the template",
        ),
        (
            '{"q": "x"}\n{"q": 3}',
            {"prompt_column": None, "messages_column": "q"},
            "q holds no list of chat messages",
        ),
        ('{"q": "x", "c": 1}\n{"q": "y", "c": "z"}', {}, "column 'c'"),
    ],
)
def test_bad_data_is_exit_3_with_its_place_before_anything_is_sent(
    upstream: Upstream,
    manifest: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    lines: str,
    changes: dict[str, Any],
    says: str,
) -> None:
    (tmp_path / "data.jsonl").write_text(lines)
    path = manifest(input=str(tmp_path / "data.jsonl"), **changes)
    assert main(argv=["--manifest", str(path)]) == 3
    assert says in capsys.readouterr().err
    assert upstream.bodies == []


def test_a_damaged_parquet_file_is_refused(
    upstream: Upstream, manifest: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 nothing else")
    with pytest.raises(RecordError, match=r"x\.parquet"):
        run_manifest(manifest(input=str(tmp_path / "x.parquet")))
    assert upstream.bodies == []


def test_an_endpoint_that_refuses_is_exit_1_and_debug_shows_where(
    upstream: Upstream, manifest: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.status = 401
    assert main(argv=["--manifest", str(manifest())]) == 1
    shown = capsys.readouterr().err
    assert "\nerror: the run stopped after 0 of 3 rows" in shown
    assert "Traceback" not in shown
    with pytest.raises(Exception, match="the run stopped"):
        main(argv=["--manifest", str(manifest()), "--debug"])


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_job_is_exit_4_and_the_next_one_goes_on(
    upstream: Upstream,
    manifest: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    path = manifest(concurrency=1)
    upstream.go_on.clear()
    command = [sys.executable, "-m", "nexa_data.data_generation_job", "--manifest", str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert upstream.asked.wait(60)
        process.send_signal(getattr(signal, name))
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 4
    assert errors.endswith("\ninterrupted: what was answered is kept; run the same command again to go on\n")
    upstream.go_on.set()
    sent = len(upstream.bodies)
    assert main(argv=["--manifest", str(path)]) == 4  # one was in flight: nobody has said to send it again
    said = capsys.readouterr().err
    assert "rows without an answer (from 0): 0" in said
    assert "--resend-unknown always" in said
    assert len(upstream.bodies) == sent + 2
    assert main(argv=["--manifest", str(path), "--resend-unknown", "always"]) == 0
    assert len(upstream.bodies) == sent + 3
    rows = pq.read_table(tmp_path / "out" / "teacher_outputs.parquet").to_pylist()
    assert [row["status"] for row in rows] == ["ok"] * 3


@pytest.mark.usefixtures("upstream")
def test_a_job_leaves_the_process_own_sigterm_handler_as_it_was(manifest: Callable[..., Path]) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: seen.append(number))
    mine = signal.getsignal(signal.SIGTERM)
    try:
        assert main(argv=["--manifest", str(manifest())]) == 0
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == []


def test_the_example_manifest_is_valid_and_renders_its_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    report = run_manifest(Path("configs/distill_manifest.yaml"), env={}, dry_run=True)
    assert report.rows == 32
    assert report.previews[0] == [{"role": "user", "content": "baa"}]


def test_json_manifests_and_mappings_say_the_same_as_yaml(tmp_path: Path) -> None:
    document = {"model": "m", "input": "x.csv", "template": "{{ a }} ${b}", "output_dir": "out"}
    (tmp_path / "m.json").write_text(json.dumps(document, indent=2))
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(document))
    loaded = [load_manifest(source) for source in (tmp_path / "m.json", tmp_path / "m.yaml", document)]
    assert loaded[0] == loaded[1] == loaded[2] == load_manifest(loaded[0])
    assert loaded[0].template == "{{ a }} ${b}"
    (tmp_path / "bad.json").write_text('{\n "model": "m",\n "outputdir": "x"\n}')
    with pytest.raises(ConfigError, match=r"bad.json:3: outputdir: unknown key; did you mean `output_dir`"):
        load_manifest(tmp_path / "bad.json")


def test_every_key_of_the_manifest_is_described_in_its_schema() -> None:
    schema = manifest_schema()
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"model", "input", "output_dir"}
    assert all(value.get("description") for value in schema["properties"].values())


def test_a_template_can_not_reach_the_interpreter(manifest: Callable[..., Path]) -> None:
    path = manifest(prompt_column=None, template="{{ q.__class__.__mro__ }}")
    with pytest.raises(RecordError, match=r"rows.jsonl:1: the template can't be filled"):
        run_manifest(path, env={}, dry_run=True)


def test_importing_the_job_loads_nothing_heavy() -> None:
    code = "import sys, nexa_data.data_generation_job, nexa_data.distill_materialize; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    loaded = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    heavy = {"torch", "pyarrow", "openai", "pydantic", "numpy", "yaml", "jinja2", "aiohttp"}
    assert not heavy & set(loaded.stdout.split())
