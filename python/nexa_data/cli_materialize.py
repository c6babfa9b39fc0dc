"""The command `nexa-data distill materialize`: from a teacher's answers to a dataset that a student learns from."""

from __future__ import annotations

import time
from enum import StrEnum
from itertools import tee
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nexa_data.console import Bar, bytes_text, seconds_text, show_facts, show_json
from nexa_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nexa_distill.read_outputs import SoftTargets
    from nexa_distill.read_tokens import TokenTargets

__all__ = ["materialize"]

_OPTIONS_OF = {
    "label_column": ("json", "arrow", "sparse"),
    "residual": ("json", "arrow", "sparse"),
    "residual_tolerance": ("json", "arrow", "sparse"),
    "features": ("arrow", "sparse"),
    "carry": ("arrow", "sparse", "tokens"),
    "dtype": ("arrow", "sparse", "tokens"),
    "top_k": ("sparse", "tokens"),
    "names": ("tokens",),
    "split": ("arrow", "sparse", "tokens"),
}


class _Form(StrEnum):
    JSON = "json"
    ARROW = "arrow"
    SPARSE = "sparse"
    TOKENS = "tokens"


class _Dtype(StrEnum):
    FLOAT32 = "float32"
    FLOAT16 = "float16"


class _Residual(StrEnum):
    RENORMALIZE = "renormalize"
    CLASS = "class"
    ERROR = "error"


class _Names(StrEnum):
    IDS = "ids"
    BYTES = "bytes"


def materialize(  # noqa: PLR0913, PLR0917 (an option each)
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="What `distill collect` made, or its Parquet.", show_default=False
        ),
    ],
    output_dir: Annotated[
        Path, typer.Argument(metavar="OUTPUT_DIR", help="Folder to write into.", show_default=False)
    ],
    form: Annotated[
        _Form,
        typer.Option(
            help="json: one file. arrow: shards of all probabilities. sparse: shards of the largest. "
            "tokens: completions with each token's alternatives."
        ),
    ] = _Form.JSON,
    dtype: Annotated[
        _Dtype | None,
        typer.Option(
            help="Type of what shards hold; default: float32, of tokens float16.", show_default=False
        ),
    ] = None,
    residual: Annotated[
        _Residual | None,
        typer.Option(
            help="Probability that fell on no label: scale the labels' to 1 (the default), append a class, or stop.",
            show_default=False,
        ),
    ] = None,
    residual_tolerance: Annotated[
        float | None,
        typer.Option(help="What --residual error still takes; default: 0.001.", min=0.0, show_default=False),
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Column with the true class; default: the teacher's most probable one.")
    ] = None,
    features: Annotated[
        list[str] | None, typer.Option(help="Column that is a feature of the student; repeat it for more.")
    ] = None,
    carry: Annotated[
        list[str] | None, typer.Option(help="Column to take along as it is; repeat it for more.")
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Classes of a row, or alternatives of a token; default: 20, or all.",
            show_default=False,
        ),
    ] = None,
    names: Annotated[
        _Names | None,
        typer.Option(
            help="What names tokens; default: the server's ids, if it gave them.", show_default=False
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Split of all rows, or shares: train=0.9,validation=0.1; default: train.", show_default=False
        ),
    ] = None,
    *,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave out rows without an answer instead of stopping.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write a teacher's answers as a dataset: soft targets, or completions with their tokens' alternatives."""
    given: dict[str, Any] = {
        "label_column": label_column,
        "residual": residual,
        "residual_tolerance": residual_tolerance,
        "features": tuple(features or ()),
        "carry": tuple(carry or ()),
        "dtype": dtype,
        "top_k": top_k,
        "names": names,
        "split": split,
    }
    chosen = {
        name: str(value) if isinstance(value, StrEnum) else value for name, value in given.items() if value
    }
    if residual_tolerance is not None:
        chosen["residual_tolerance"] = residual_tolerance
    for name in chosen:
        if form not in _OPTIONS_OF[name]:
            raise ConfigError(
                f"--{name.replace('_', '-')} is not of --form {form}",
                remedy=f"it is of {', '.join(_OPTIONS_OF[name])}",
            )
    if split is not None:
        chosen["split"] = _shares(split)
    missing = "skip" if skip_missing else "error"
    write = _write_tokens if form is _Form.TOKENS else _write_soft_targets
    since = time.perf_counter()
    path, found, records = write(source, output_dir, str(form), missing, chosen)
    _report(path, found, records, str(form), time.perf_counter() - since, as_json=as_json)


def _shares(text: str) -> str | dict[str, float]:
    """Return a split's name, or shares by name."""
    if "=" not in text:
        return text
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return {name.strip(): float(share) for name, share in pairs}
    except ValueError as error:
        raise ConfigError(
            f"--split {text!r} isn't read", remedy="for example train=0.9,validation=0.1"
        ) from error


def _write_soft_targets(
    source: Path, output_dir: Path, form: str, missing: str, chosen: Mapping[str, Any]
) -> tuple[Path, SoftTargets, int]:
    from nexa_distill.read_outputs import SoftTargets

    from nexa_data.distill_materialize import materialize_distilled_dataset

    reading = ("label_column", "residual", "residual_tolerance", "features", "carry")
    options = {name: value for name, value in chosen.items() if name in reading}
    writing = {name: value for name, value in chosen.items() if name not in reading}
    found = SoftTargets.open(source, missing=missing, **options)
    with Bar("writing", "records") as bar:
        batches, count = _counted(found.batches(), bar, found.rows, lambda batch: len(batch.targets))
        # In step: what one has taken is kept only until the others have, so none may stay unread.
        first, second, *more = tee(batches, 3 if found.features or found.carry else 2)
        columns = (batch.columns for batch in more[0]) if more else None
        path = materialize_distilled_dataset(
            (batch.probabilities for batch in first),
            (batch.targets for batch in second),
            output_dir,
            form=form,  # type: ignore[arg-type]
            columns=columns,
            origin=None if form == "json" else source,
            **writing,
        )
    return path, found, count[0]


def _write_tokens(
    source: Path, output_dir: Path, form: str, missing: str, chosen: Mapping[str, Any]
) -> tuple[Path, TokenTargets, int]:
    from nexa_distill.read_tokens import TokenTargets

    from nexa_data.distill_tokens import materialize_token_targets

    del form
    found = TokenTargets.open(source, missing=missing, carry=chosen.get("carry", ()))
    options = {name: value for name, value in chosen.items() if name != "carry"}
    top_k = options.pop("top_k", None) or found.most_alternatives()
    with Bar("writing", "records") as bar:
        batches, count = _counted(found.batches(), bar, found.rows, lambda batch: batch.num_rows)
        path = materialize_token_targets(batches, output_dir, top_k=top_k, origin=source, **options)
    return path, found, count[0]


def _counted(
    batches: Iterator[Any], bar: Bar, total: int, size: Callable[[Any], int]
) -> tuple[Iterator[Any], list[int]]:
    """Return the batches, and a list whose only number says how many rows came so far."""
    done = [0]

    def each() -> Iterator[Any]:
        for batch in batches:
            done[0] += size(batch)
            bar(done[0], total)
            yield batch

    return each(), done


def _report(
    path: Path, found: SoftTargets | TokenTargets, records: int, form: str, seconds: float, *, as_json: bool
) -> None:
    path = path.absolute()
    files = [path] if form == "json" else list((path.parent / "shards").iterdir())
    size = sum(file.stat().st_size for file in files)
    config = None if form == "json" else _config(path, form, found)
    facts: dict[str, Any] = {"dataset": str(path), "records": records, "skipped": dict(found.skipped)}
    if as_json:
        show_json(
            facts | {"form": form, "bytes": size, "seconds": seconds} | ({"config": config} if config else {})
        )
        return
    facts["skipped"] = ", ".join(f"{count} {why}" for why, count in found.skipped.items()) or None
    facts |= {"form": form, "bytes": bytes_text(size), "seconds": seconds_text(seconds)}
    facts["load it with"] = f"json.load(open({str(path)!r}))" if config is None else _yaml(config)
    show_facts(facts)


def _config(path: Path, form: str, found: SoftTargets | TokenTargets) -> dict[str, Any]:
    """Return a config that loads what was written."""
    if form == "tokens":
        lists = ("token_ids", "top_ids", "top_logprobs")
        batch: dict[str, Any] = {
            "columns": [*lists, *found.carry],
            "ragged": dict.fromkeys(lists, "padded"),
            "convert": {"token_ids": "int64", "top_ids": "int64", "top_logprobs": "float32"},
        }
    else:
        features = ["features"] if getattr(found, "features", ()) else []
        batch = {"columns": [*features, "label", "target", *found.carry]}
    return {
        "data": {"dataset_name": path.parent.name, "source_uri": str(path), "batch_size": 32, "batch": batch}
    }


def _yaml(config: Mapping[str, Any]) -> str:
    import yaml

    written: str = yaml.safe_dump(config, sort_keys=False, default_flow_style=None, width=120)
    return 'build_loader(CONFIG, "train"), with CONFIG:\n' + written.rstrip()
