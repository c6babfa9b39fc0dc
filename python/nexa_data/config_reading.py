"""What a user may say about how source files are read, and what a broken record does."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from nexa_data.config_section import Count, Section, no_bool

__all__ = ["ErrorPolicy", "FormatName", "NormalizeConfig", "ReadConfig", "RecordErrors", "SplitSources"]

FormatName = Literal[
    "arrow", "arrow_stream", "csv", "jsonl", "mds", "npy", "parquet", "tfrecord", "webdataset"
]
"""Formats of source files."""

_Number = Annotated[float, BeforeValidator(no_bool)]
_Numbers = _Number | list[_Number]
_Share = Annotated[float, Field(ge=0.0, le=1.0), BeforeValidator(no_bool)]


def _one_ascii(value: object) -> object:
    if value == r"\t":  # how a tab is written where YAML or a shell takes it literally
        return "\t"
    if isinstance(value, str) and not (len(value) == 1 and value.isascii()):
        raise ValueError("one ASCII character is wanted, such as ;")
    return value


class ReadConfig(Section):
    """How files are read whose format leaves something open."""

    infer: Literal["whole"] | Count = 10_000
    """Records that the columns' types are found from, or `whole` for all of them (the file is read twice)."""
    types: dict[str, str] = Field(default_factory=dict)
    """Types of columns, instead of what is found: `{id: int64, features: "float32[32]", tags: list<string>}`."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1), BeforeValidator(_one_ascii)] | None = None
    """Separator of a CSV file's fields; default: comma, tab, semicolon or pipe, as the first lines say."""
    header: bool = True
    """Whether a CSV file begins with its columns' names; without, they are `column0`, `column1`, …"""
    nulls: list[str] = Field(default_factory=lambda: [""])
    """Unquoted texts in CSV that stand for a missing value."""


class RecordErrors(Section):
    """What happens to records that can't be read or can't become features and a label."""

    action: Literal["fail", "skip", "quarantine"] = "fail"
    """`fail` ends the run at the first; `skip` leaves them out and counts them; `quarantine` writes them to a file too."""
    max_share: _Share = 0.1
    """Share of bad records at which the run fails after all."""
    max_records: Count | None = None
    """Number of bad records beyond which the run fails at once."""


class NormalizeConfig(Section):
    """Numbers that features are normalised by: `(x - mean) / std`."""

    mean: _Numbers = 0.0
    """What is taken off: one number, or one for each feature."""
    std: _Numbers = 1.0
    """What the rest is divided by: one number, or one for each feature; not 0."""

    @field_validator("std")
    @classmethod
    def _not_zero(cls, value: float | list[float]) -> float | list[float]:
        if 0 in (value if isinstance(value, list) else [value]):
            raise ValueError("a feature can't be divided by 0")
        return value


def _action(value: object) -> object:
    return {"action": value} if isinstance(value, str) else value


def _or_text(schema: dict[str, Any]) -> None:
    """Tell editors of the short form: the action alone."""
    reference = schema.pop("$ref", None)
    own = {"$ref": reference} if reference else {key: schema.pop(key) for key in list(schema)}
    schema["anyOf"] = [own, {"type": "string", "enum": ["fail", "skip", "quarantine"]}]


ErrorPolicy = Annotated[RecordErrors, BeforeValidator(_action), Field(json_schema_extra=_or_text)]
"""An action alone is enough."""

_Path = Annotated[str, Field(min_length=1)]
SplitSources = dict[Literal["train", "validation", "test"], _Path | list[_Path]]
"""Files of each split, where somebody has cut them already."""
