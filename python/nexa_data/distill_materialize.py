"""Soft targets on disk: one JSON file that every training script can read, or shards that `build_loader` serves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nexa_data.artifacts import is_complete, write_atomic
from nexa_data.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from torch import Tensor

__all__ = ["DATASET_NAME", "materialize_distilled_dataset"]

DATASET_NAME = "distilled_dataset.json"


def materialize_distilled_dataset(  # noqa: PLR0913 (a keyword each)
    probabilities: Iterable[Tensor],
    targets: Iterable[Tensor],
    output_dir: Path,
    *,
    form: Literal["json", "arrow", "sparse"] = "json",
    dtype: Literal["float32", "float16"] | None = None,
    top_k: int | None = None,
    columns: Iterable[Mapping[str, Any]] | None = None,
    split: str | Mapping[str, float] = "train",
    seed: int = 0,
    shard_bytes: int | None = None,
    origin: Path | str | None = None,
) -> Path:
    r"""Write teacher probabilities and targets, streamed, in memory that doesn't grow with them.

    - `json`: `distilled_dataset.json`, a list of `{"teacher_probs": [...], "target": int}`. Probabilities are float32
      in the fewest digits that read back to the same float32. The file appears when it is complete and durable; after
      an error an older one is untouched.
    - `arrow`: `output_dir` becomes an artifact of kind `dataset` with Arrow shards and `catalog.jsonl`, in one step. Its
      columns are `features` (if `columns` has it), `label` (the probabilities, (C,)), `target` (int64), and what else
      `columns` has. A config with `source_uri: OUTPUT_DIR/catalog.jsonl` loads it: batches have float32 labels (B, C).
    - `sparse`: the same, but instead of `label` the shards have each row's largest probabilities, most probable first:
      `target_ids` (int32), `target_logprobs`, and `residual_mass`, the probability of all the other classes. The loader
      makes float32 labels (B, C) of them; `data.batch.residual` says what becomes of the residual mass.

    Args:
        probabilities: Tensors of shape `(C,)`, or `(B, C)` for batches, on any device, of any float dtype;
            numpy arrays and lists work too. Any iterable, read once, lazily; one tensor (N, C) is its rows. Each row
            sums to 1 within 1e-3, or 1e-2 for floats of 16 bits.
        targets: For each of them the true class: an integer scalar, or `(B,)` or `(B, 1)` for batches. Floats are
            refused.
        output_dir: Folder to write into; made if it isn't there. For the Arrow forms it is the artifact: an empty or
            new folder, or an older dataset, which is replaced when the new one is whole.
        form: What is written.
        dtype: Arrow forms: type of what is stored, probabilities or logarithms; default float32. float16 halves the
            space: its probabilities are exact to 3 digits down to 6e-5, and below 3e-8 they are 0.
        top_k: Form `sparse`: how many classes a row keeps at most; default 20. Probabilities of 0 are never kept.
        columns: Arrow forms: for each element of `probabilities` what travels with it: a mapping of column name to
            value (for a batch: to B values), or a `pyarrow.RecordBatch`. `features` is the student's input; floats
            of 64 bits become 32.
        split: Arrow forms: the split that all rows are in, or the share of each split (`{"train": 0.9, "validation": 0.1}`),
            by a stable hash of the row's number.
        seed: Another seed gives another cut.
        shard_bytes: Arrow forms: bytes of a shard; memory holds three. Default 16 MiB.
        origin: Arrow forms: path of what the rows come from, for `nexa-data artifacts lineage`.

    Returns:
        Path of the file: `distilled_dataset.json`, or the artifact's `catalog.jsonl`.

    Raises:
        RecordError: The iterables have unequal lengths or are empty, or a row isn't a distribution with a target
            among its classes; the message names the row, counted from 0 over all batches.
        ConfigError: An option is impossible, or of another form.
        ArtifactError: Form `json`: `output_dir` is an artifact, which isn't to be changed. Arrow forms: it holds
            something else.
        OSError: The folder can't be written.

    Example:
        >>> import tempfile
        >>> path = materialize_distilled_dataset([[0.25, 0.75]], [1], Path(tempfile.mkdtemp()))
        >>> path.read_text()
        '[\n{"teacher_probs":[0.25,0.75],"target":1}\n]\n'
    """
    folder = Path(output_dir)
    if form in {"arrow", "sparse"}:
        from nexa_data.distill_rows import checked_rows
        from nexa_data.distill_shards import ShardForm, materialize_shards

        shards = ShardForm(
            sparse=form == "sparse", dtype=dtype, top_k=top_k, split=split, seed=seed, shard_bytes=shard_bytes
        )
        return materialize_shards(checked_rows(probabilities, targets, columns), folder, shards, origin)
    if form != "json":
        raise ConfigError(f"there is no form {form!r}", remedy="known: json, arrow, sparse")
    others: dict[str, Any] = {
        "dtype": dtype,
        "top_k": top_k,
        "columns": columns,
        "shard_bytes": shard_bytes,
        "origin": origin,
    }
    given = [name for name, value in others.items() if value is not None] + ["split"] * (split != "train")
    if given:
        raise ConfigError(
            f"{', '.join(given)}: the JSON file holds float32 probabilities and targets alone",
            remedy='leave it out, or pass form="arrow"',
        )
    if is_complete(folder):
        raise ArtifactError(
            f"{folder.absolute()} is an artifact, which nothing is added to",
            remedy="name another folder; nothing was touched",
        )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / DATASET_NAME
    write_atomic(path, _document(probabilities, targets))
    return path


def _document(probabilities: Iterable[Any], targets: Iterable[Any]) -> Iterator[bytes]:
    import numpy as np
    import orjson

    from nexa_data.distill_rows import checked_rows

    opening = b"[\n"
    for rows in checked_rows(probabilities, targets):
        matrix = np.ascontiguousarray(rows.probabilities, dtype=np.float32)
        for probs, target in zip(matrix, rows.classes.tolist(), strict=True):
            yield opening
            yield orjson.dumps({"teacher_probs": probs, "target": target}, option=orjson.OPT_SERIALIZE_NUMPY)
            opening = b",\n"
    yield b"\n]\n"
