"""Distillation in one command: a teacher on loopback, its soft targets, and two students that learn the same task."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nexa_distill.job import run_manifest

from nexa_data.console import say, show, show_table
from nexa_data.errors import TeacherError
from nexa_data.optional import needed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nexa_distill.job import JobReport
    from torch import Tensor, nn

__all__ = ["DistillDemoResult", "run_distill_demo", "served", "show_distill_demo"]

_ROWS = 600
_LONGEST = 9
_SHARES = {"train": 0.5, "test": 0.5}
_HIDDEN = 32
_EPOCHS = 200
_LEARNING_RATE = 0.05
_SEED = 0
_PRICE = {"prompt": 0.15, "completion": 0.6}
"""Made up, per million tokens: a teacher on this machine costs nothing."""
_SERVE = """
import socket, sys, xllamacpp
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
p = xllamacpp.CommonParams()
p.model.path, p.hostnames, p.port = sys.argv[1], ["127.0.0.1"], port
p.n_parallel, p.n_ctx, p.cpuparams.n_threads = 16, 4096, 1
server = xllamacpp.Server(p)
print(f"PORT={port}", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True, slots=True)
class Student:
    """How well a student does on strings that it hasn't seen.

    Args:
        accuracy: Share of strings for which it says the likelier answer.
        cross_entropy: Of its probabilities against the true ones, in nats; `entropy` is the least there can be.
        entropy: Of the true probabilities.
    """

    accuracy: float
    cross_entropy: float
    entropy: float


@dataclass(frozen=True, slots=True)
class DistillDemoResult:
    """What the demo came to.

    Args:
        report: The collection.
        dataset: Catalog of the soft targets.
        soft: The student that learned from the teacher's probabilities.
        hard: The student that learned from hard labels.
        teacher: The teacher itself, on the students' test.
    """

    report: JobReport
    dataset: Path
    soft: Student
    hard: Student
    teacher: Student


def run_distill_demo(teacher: Path, output: Path) -> DistillDemoResult:
    """Collect, materialise and learn, with a GGUF model that llama.cpp's own server serves on loopback.

    The task: for a string of `a` and `b` the answer is `A` with probability 1/(1+exp(#b − #a)), else `B`. A hard label
    is one draw of that, as from one annotator; a teacher knows the probability. Both students are the same small
    network, see the same strings through the same loader, and are tested on strings that neither has seen.

    Args:
        teacher: The model's file.
        output: Folder to write into. A second run asks again: the server has another address then.

    Raises:
        MissingDependencyError: `xllamacpp` isn't installed.
        TeacherError: The server doesn't start.
    """
    from nexa_distill.read_outputs import SoftTargets

    from nexa_data.distill_materialize import materialize_distilled_dataset

    output.mkdir(parents=True, exist_ok=True)
    _write_strings(output / "strings.jsonl")
    with served(teacher) as url:
        report = run_manifest(_manifest(output), env={"OPENAI_BASE_URL": url}, announce=_announce)
    found = SoftTargets.open(output / "answers", label_column="drawn", features=("features",), carry=("p_A",))
    batches: list[Any] = list(found.batches())
    dataset = materialize_distilled_dataset(
        (batch.probabilities for batch in batches),
        (batch.targets for batch in batches),
        output / "soft-targets",
        form="arrow",
        columns=(batch.columns for batch in batches if batch.columns is not None),
        split=_SHARES,
    )
    soft, hard, taught = _students(dataset)
    return DistillDemoResult(report, dataset, soft, hard, taught)


def _announce(report: JobReport) -> None:
    say(f"asking {report.model} at {report.endpoint}: {report.rows} requests")


def _manifest(output: Path) -> dict[str, Any]:
    return {
        "model": "tiny",
        "input": str(output / "strings.jsonl"),
        "prompt_column": "text",
        "output_dir": str(output / "answers"),
        "labels": ["A", "B"],
        "max_tokens": 1,
        "temperature": 1.0,
        "concurrency": 16,
        "prices": {"tiny": _PRICE},
        "budget": {"max_cost": 1.0},
        "resend_unknown": "always",
    }


def _write_strings(path: Path) -> None:
    """Write strings, each once, with the answer's probability, an answer drawn by it, and the student's features."""
    drawing = random.Random(_SEED)  # noqa: S311 (a seeded draw, no secret)
    texts: dict[str, None] = {}
    while len(texts) < _ROWS:
        texts["".join(drawing.choice("ab") for _ in range(drawing.randint(3, _LONGEST)))] = None
    lines = []
    for text in texts:
        p_a = 1 / (1 + math.exp(text.count("b") - text.count("a")))
        one_hot = [float(text[at : at + 1] == letter) for at in range(_LONGEST) for letter in "ab"]
        drawn = "A" if drawing.random() < p_a else "B"
        lines.append(json.dumps({"text": text, "drawn": drawn, "p_A": p_a, "features": one_hot}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def served(model: Path) -> Iterator[str]:
    """Give the base URL of llama.cpp's own server with a GGUF model; it ends with the block.

    Raises:
        MissingDependencyError: `xllamacpp` isn't installed.
        TeacherError: The server doesn't start.
    """
    with needed("xllamacpp", "the distillation demo"):
        import xllamacpp  # noqa: F401 (asked here, used in the server's process)
    command = [sys.executable, "-c", _SERVE, str(model)]
    with subprocess.Popen(  # noqa: S603 (our own interpreter)
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            lines = process.stdout or ()
            port = next((line[5:].strip() for line in lines if line.startswith("PORT=")), None)
            if not port:
                raise TeacherError(f"no server starts with {model}", remedy="name a GGUF model")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


def _students(dataset: Path) -> tuple[Student, Student, Student]:
    """Train one student on the teacher's probabilities and one on the drawn answers; and test the teacher too."""
    with needed("torch", "the distillation demo"):
        import torch

    from nexa_data.prepare import build_dataloaders

    config = {
        "data": {
            "dataset_name": "soft-targets",
            "source_uri": str(dataset),
            "batch_size": 64,
            "batch": {"as": "dict", "columns": ["features", "label", "target", "p_A"]},
            "preprocessing": {"seed": _SEED},
        }
    }
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # more only wait for each other on a model this small
    try:
        with torch.random.fork_rng(devices=[]):
            students = []
            for target in ("label", "target"):
                torch.manual_seed(_SEED)
                loaders = build_dataloaders(config, ("train", "test"))
                model = torch.nn.Sequential(
                    torch.nn.Linear(2 * _LONGEST, _HIDDEN), torch.nn.Tanh(), torch.nn.Linear(_HIDDEN, 2)
                )
                _train(model, loaders["train"], target)
                students.append(_tested(loaders["test"], model))
            return students[0], students[1], _tested(loaders["test"], None)
    finally:
        torch.set_num_threads(before)


def _train(model: nn.Module, loader: Any, target: str) -> None:
    import torch

    # By hand: `torch.optim` would first import torch's compiler, which takes longer than the training.
    parameters = list(model.parameters())
    velocities = [torch.zeros_like(weights) for weights in parameters]
    for _ in range(_EPOCHS):
        for batch in loader:
            loss = torch.nn.functional.cross_entropy(model(batch["features"]), batch[target])
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for weights, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
                    weights.sub_(velocity.mul_(0.9).add_(gradient), alpha=_LEARNING_RATE)


def _tested(loader: Any, model: nn.Module | None) -> Student:
    import torch

    with torch.no_grad():
        batches = list(loader)
        truth = torch.cat([batch["p_A"] for batch in batches]).double().reshape(-1)
        said = torch.cat(
            [batch["label"] if model is None else model(batch["features"]).softmax(1) for batch in batches]
        )[:, 0].double()
    undecided = (truth - 0.5).abs() < 1e-9  # noqa: PLR2004 (as many a as b: no answer is the likelier one)
    right = ((said > 0.5) == (truth > 0.5))[~undecided]  # noqa: PLR2004
    return Student(float(right.double().mean()), _cross_entropy(truth, said), _cross_entropy(truth, truth))


def _cross_entropy(truth: Tensor, said: Tensor) -> float:
    kept = said.clamp(1e-12, 1 - 1e-12)
    return float(-(truth * kept.log() + (1 - truth) * (1 - kept).log()).mean())


def show_distill_demo(result: DistillDemoResult) -> None:
    """Print cost, rates and accuracy."""
    report, session = result.report, result.report.session
    wall_s = session["wall_s"] or math.nan
    asked = session["requests"]
    cost = report.spend.get("cost", 0.0)
    show_table(
        ("collection", ">value"),
        [
            ("answers", f"{report.counts['ok']:,} of {report.counts['rows']:,}"),
            ("requests sent in this run", f"{asked:,}"),
            ("requests/s", f"{asked / wall_s:.0f}" if asked else "nothing was left to ask"),
            ("tokens", f"{report.counts['prompt_tokens'] + report.counts['completion_tokens']:,}"),
            ("cost at made-up prices", f"{cost:.6f}"),
        ],
    )
    show("")
    rows = [
        ("the teacher", result.teacher),
        ("on its probabilities", result.soft),
        ("on hard labels", result.hard),
    ]
    show_table(
        ("student", ">accuracy", ">cross entropy", ">above the least"),
        [
            (
                name,
                f"{each.accuracy:.3f}",
                f"{each.cross_entropy:.4f}",
                f"{each.cross_entropy - each.entropy:.4f}",
            )
            for name, each in rows
        ],
    )
    show("")
    show(f"soft targets  {result.dataset}")
    show(f"soft_accuracy={result.soft.accuracy:.3f}")
    show(f"hard_accuracy={result.hard.accuracy:.3f}")
