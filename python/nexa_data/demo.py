"""The main job on real input, in one command: digits from source to a classifier that learned them."""

from __future__ import annotations

import itertools
import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nexa_data.artifacts import write_atomic
from nexa_data.config import load_config
from nexa_data.console import Bar, bytes_text, show
from nexa_data.optional import needed
from nexa_data.quality.model import REPORT_PAGE_NAME
from nexa_data.quality.page import verdict_text, write_page
from nexa_data.quality.report import read_report
from nexa_data.steps import Step, prepare, show_steps, staged_copy, validate

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from nexa_data.artifacts import ArtifactMeta
    from nexa_data.config import Config
    from nexa_data.loaders.torch_loader import ShardLoader

__all__ = ["DemoResult", "demo_config", "run_demo", "show_demo"]

CONFIG_NAME = "digits.yaml"

_EPOCHS = 40
_HIDDEN = 128
_LEARNING_RATE = 0.05
_MOMENTUM = 0.9
_SEED = 0
_THREADS = 1
_HEADER = """\
# The config of `nexa-data demo`. Every key is explained in docs/pipelines/DATA.md and by `nexa-data config schema`.
"""


def demo_config(output: Path) -> dict[str, Any]:
    """Return the demo's config, everything it writes below `output`."""
    return {
        "experiment": {"name": "demo", "output_dir": str(output)},
        "data": {
            "dataset_name": "digits",
            "dataset_version": "1",
            "batch_size": 64,
            "shuffle": True,
            "split": {"train": 0.7, "validation": 0.1, "test": 0.2},
            "preprocessing": {"label": "label", "num_classes": 10, "seed": 0},
            "checks": [{"max_nan_share": 0}, {"range": {"min": 0, "max": 1}}, {"min_class_count": 50}],
            "augmentations": [{"gaussian_noise": {"std": 0.05}}],
            "cache_dir": str(output / "nvme"),
        },
    }


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo did.

    Args:
        config: The config file that it wrote.
        artifact: The prepared dataset.
        staged: Its copy on local disk, which was trained from.
        report: The page on its quality.
        verdict: What the page says first.
        steps: Each step, measured.
        test_accuracy: Share of the held-out records that were classified rightly.
    """

    config: Path
    artifact: ArtifactMeta
    staged: ArtifactMeta
    report: Path
    verdict: str
    steps: tuple[Step, ...]
    test_accuracy: float

    @property
    def latest(self) -> Path:
        """The link to the newest version, by a path as short as the output folder's."""
        return load_config(self.config).store / "latest"

    @property
    def reused(self) -> bool:
        """Whether the prepared artifact was there already."""
        return self.steps[0].reused

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        return {
            "config": str(self.config),
            "artifact": self.artifact.as_dict(),
            "staged": self.staged.as_dict(),
            "report": str(self.report),
            "verdict": self.verdict,
            "steps": [step.as_dict() for step in self.steps],
            "test_accuracy": round(self.test_accuracy, 3),
            "reused": self.reused,
        }


def run_demo(output: Path) -> DemoResult:
    """Prepare, validate, stage, load and train, with everything written below `output`.

    Raises:
        MissingDependencyError: scikit-learn, which brings the digits, isn't installed.
        NexaError: A step failed; the message says which data and why.
    """
    import yaml

    output.mkdir(parents=True, exist_ok=True)
    mapping = demo_config(output)
    file = output / CONFIG_NAME
    write_atomic(file, (_HEADER + yaml.safe_dump(mapping, sort_keys=False)).encode())
    config = load_config(file)
    artifact, prepared = prepare(config)
    checked = validate(artifact.path)
    staged, copied = staged_copy(config, artifact)
    steps, accuracy = _learn(config)
    found = read_report(artifact.path)
    page = output / REPORT_PAGE_NAME
    write_page(found, page)
    return DemoResult(
        file, artifact, staged, page, verdict_text(found), (prepared, checked, copied, *steps), accuracy
    )


def _learn(config: Config) -> tuple[tuple[Step, ...], float]:
    with needed("torch", "the demo"):
        import torch

    from nexa_data.prepare import build_dataloaders

    before = torch.get_num_threads()
    # More threads only wait for each other on a model this small.
    torch.set_num_threads(min(before, _THREADS))
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            started = time.perf_counter()
            loaders = build_dataloaders(config, ("train", "test"))
            loaded = _load(loaders["train"], started)
            model = torch.nn.Sequential(
                torch.nn.Linear(64, _HIDDEN), torch.nn.ReLU(), torch.nn.Linear(_HIDDEN, 10)
            )
            trained = _train(model, loaders["train"])
            tested, accuracy = _test(model, loaders["test"])
    finally:
        torch.set_num_threads(before)
    return (loaded, trained, tested), accuracy


def _size(tensors: tuple[Tensor, Tensor]) -> int:
    return sum(tensor.element_size() * tensor.nelement() for tensor in tensors)


def _load(loader: ShardLoader, started: float) -> Step:
    """Go through an epoch without training: what the loader alone can do."""
    sizes = [(len(labels), _size((features, labels))) for features, labels in loader]
    seconds = time.perf_counter() - started
    records, size = (sum(column) for column in zip(*sizes, strict=True))
    return Step("load", seconds, records, size, note=f"an epoch of {len(sizes)} batches, opening included")


def _train(model: nn.Module, loader: ShardLoader) -> Step:
    with needed("torch", "the demo"):
        import torch

    # Gradient descent with momentum by hand: `torch.optim` would first import torch's compiler, which takes
    # longer than the training.
    parameters = list(model.parameters())
    velocities = [torch.zeros_like(weights) for weights in parameters]
    batches = records = size = 0
    started = time.perf_counter()
    with Bar("training", "batches") as bar:
        for features, labels in itertools.chain.from_iterable(loader for _ in range(_EPOCHS)):
            loss = torch.nn.functional.cross_entropy(model(features), labels)
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for weights, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
                    weights.sub_(velocity.mul_(_MOMENTUM).add_(gradient), alpha=_LEARNING_RATE)
            records += len(labels)
            size += _size((features, labels))
            batches += 1
            bar(batches, _EPOCHS * len(loader))
    seconds = time.perf_counter() - started
    return Step("train", seconds, records, size, note=f"{_EPOCHS} epochs, last loss {loss.item():.4f}")


def _test(model: nn.Module, loader: ShardLoader) -> tuple[Step, float]:
    with needed("torch", "the demo"):
        import torch

    right = records = size = 0
    started = time.perf_counter()
    with torch.no_grad():
        for features, labels in loader:
            right += int((model(features).argmax(dim=1) == labels).sum())
            records += len(labels)
            size += _size((features, labels))
    seconds = time.perf_counter() - started
    note = f"{right} of {records} held-out digits right"
    return Step("test", seconds, records, size, note=note), right / records


def show_demo(result: DemoResult) -> None:
    """Print the steps, where the artifact lies, what to try next, and the two lines that scripts read."""
    show_steps(result.steps)
    show("")
    show(f"artifact  {result.artifact.uri}")
    show(f"hash      {result.artifact.hash}")
    show(f"size      {bytes_text(result.artifact.bytes)}")
    show(f"staged    {result.staged.uri}")
    show(f"quality   {result.verdict}")
    show(f"report    {result.report}")
    show("")
    latest = shlex.quote(str(result.latest))
    config, mine = (shlex.quote(str(result.config.with_name(name))) for name in (CONFIG_NAME, "mine.yaml"))
    show("try next:")
    commands = {
        "schema, counts, first rows": f"inspect {latest}",
        "read and compare it all": f"validate {latest} --full",
        "the same again, all reused": f"run {config}",
        "is it fit? as a page": f"report {latest} --open",
        "a second version beside it": f"prepare {config} --set data.dataset_version=2",
        "a config for files": f"init {latest}/shards --output {mine} --force",
        "what it makes of them": f"run {mine}",
    }
    for purpose, command in commands.items():
        show(f"  {purpose:<26}  nexa-data {command}")
    show("")
    show(f"test_accuracy={result.test_accuracy:.3f}")
    show(f"reused={str(result.reused).lower()}")
