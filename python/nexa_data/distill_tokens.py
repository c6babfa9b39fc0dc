"""Completions with the teacher's alternatives for each token, as Arrow shards that loaders hand out as tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from nexa_data.catalog import CATALOG_NAME
from nexa_data.errors import ConfigError, RecordError
from nexa_data.shard_artifact import ShardPlan, made_artifact
from nexa_data.token_columns import TOKEN_TABLE_NAME, TokenTable, token_batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

__all__ = ["TOKEN_TABLE_NAME", "materialize_token_targets"]


def materialize_token_targets(  # noqa: PLR0913 (a keyword each)
    completions: Iterable[pa.RecordBatch],
    output_dir: Path,
    *,
    top_k: int,
    names: Literal["auto", "ids", "bytes"] = "auto",
    dtype: Literal["float16", "float32"] = "float16",
    split: str | Mapping[str, float] = "train",
    seed: int = 0,
    shard_bytes: int | None = None,
    origin: Path | str | None = None,
) -> Path:
    """Write completions and their tokens' alternatives as an artifact of kind `dataset`, streamed.

    A row of the shards has `text`, and for its T tokens `token_ids` (T,) int32, `token_logprobs` (T,), `top_ids` (T, K)
    int32, `top_logprobs` (T, K), most probable first, and `residual_mass` (T,) float32, what the alternatives leave to
    all other tokens. A token with fewer than K alternatives is filled up with id 0 of probability 0 (-inf). Then come the
    other columns of `completions`.

    Where the server names tokens by their bytes alone, ids number the rows of `tokens.arrow` in the artifact, whose
    column `bytes` has them: look each up in the student's vocabulary once, and index what you found with the ids.

    Args:
        completions: Batches with `text`, `token_logprobs`, `top_logprobs` and `token_ids` with `top_ids`, or
            `token_bytes` with `top_bytes`, as the collector writes them.
        output_dir: Folder that the artifact will be.
        top_k: Alternatives that a token keeps at most, K.
        names: What names tokens: the server's `ids`, their `bytes`, or `auto`: ids if the first batch has them in
            every row.
        dtype: Type of the logarithms.
        split: The split that all rows are in, or the share of each, by a stable hash of the row's number.
        seed: Another seed gives another cut.
        shard_bytes: Bytes of a shard; default 16 MiB.
        origin: Path of what the completions come from, for `nexa-data artifacts lineage`.

    Returns:
        Path of the artifact's `catalog.jsonl`.

    Raises:
        RecordError: There are no rows, or a row's columns don't fit each other; it names the row.
        ConfigError: An option is impossible.
        ArtifactError: `output_dir` holds something else.
    """
    if top_k < 1:
        raise ConfigError(f"top_k is {top_k}", remedy="pass 1 or more")
    if names not in {"auto", "ids", "bytes"} or dtype not in {"float16", "float32"}:
        raise ConfigError(
            f"names {names!r} or dtype {dtype!r} is none", remedy="auto, ids or bytes; float16 or float32"
        )
    plan = ShardPlan(split, seed, shard_bytes)
    table = TokenTable(names)
    schema: pa.Schema | None = None

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal schema
        first = 0
        for given in completions:
            made = token_batch(given, table, top_k, dtype, first)
            if schema is not None and not made.schema.equals(schema):
                raise RecordError(
                    f"row {first}: columns {made.schema.names} differ from those before in name or type",
                    remedy="pass the same columns in each batch",
                )
            schema, first = made.schema, first + given.num_rows
            yield made
        if not first:
            raise RecordError("there are no rows to write", remedy="pass at least one row")

    def describe() -> tuple[dict[str, Any], dict[str, bytes]]:
        fields = [] if schema is None else [{"name": field.name, "type": str(field.type)} for field in schema]
        tokens = {
            "top_k": top_k,
            "dtype": dtype,
            "names": table.names,
            "table": TOKEN_TABLE_NAME if table.by_bytes else None,
        }
        known = {"features": None, "label": None, "columns": fields, "tokens": tokens}
        return known, {TOKEN_TABLE_NAME: table.dumps()} if table.by_bytes else {}

    meta = made_artifact(
        batches(), output_dir, plan, describe=describe, inputs={"form": "tokens"}, origin=origin
    )
    return meta.path / CATALOG_NAME
