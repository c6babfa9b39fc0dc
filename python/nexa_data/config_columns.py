"""What a user may say about how columns change on their way into a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from nexa_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ConvertConfig",
    "Converts",
    "PackConfig",
    "RaggedConfig",
    "Raggeds",
    "Residual",
    "parse_converts",
    "parse_pack",
    "parse_raggeds",
]

Dtype = Literal[
    "bool",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
]

Residual = Literal["renormalize", "spread", "class", "keep"]
"""What becomes of the probability that the stored classes of a sparse label leave to all others."""


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a number is wanted, not true or false")  # noqa: TRY004 (pydantic collects ValueErrors)
    return value


_Number = Annotated[float, BeforeValidator(_number)]
_Integer = Annotated[int, BeforeValidator(_number)]
_Width = Annotated[int, Field(ge=1), BeforeValidator(_number)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class ConvertConfig(_Section):
    """Another type for a column's numbers, in the same pass that assembles the batch: `value * scale + shift`."""

    dtype: Dtype
    """Type in the batch: integers become floats or wider integers, floats become floats."""
    scale: _Number = 1.0
    """Factor; wants a float as `dtype`."""
    shift: _Number = 0.0
    """What is added after it; wants a float as `dtype`."""


class RaggedConfig(_Section):
    """The form of a column of lists."""

    as_: Literal["ragged", "padded"] = Field(default="padded", alias="as")
    """`ragged`: `(values, offsets)`; `padded`: a tensor of one width, and a mask of that name with `_mask` behind it."""
    to: Literal["max"] | _Width | list[_Width] = "max"
    """Width: `max` (that of the batch's longest row), a number, or a list of which the smallest that fits is taken."""
    value: _Number = 0.0
    """Number that fills up."""
    truncate: bool = False
    """Cut rows that are longer than the largest width; without, they are an error."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.to == []:
            raise ValueError("to: name one width at least")
        if self.truncate and self.to == "max":
            raise ValueError("truncate wants a width in `to`: nothing is longer than the longest")
        return self

    @property
    def widths(self) -> list[int]:
        """Widths to choose from, none for that of the longest row."""
        return [] if isinstance(self.to, str) else [self.to] if isinstance(self.to, int) else list(self.to)


class PackConfig(_Section):
    """Sequences in rows of one length, best fit within windows of the epoch's order."""

    column: str = "tokens"
    """Column of lists of integers."""
    length: _Width = 2048
    """Items of a row; longer sequences are cut into pieces, each a document of its own."""
    lookahead: _Width = 4096
    """Consecutive positions of the order that are packed together; more fill rows better and mix less."""
    dtype: Literal["int64", "int32"] = "int64"
    """Type of ids, labels and positions."""
    pad_id: _Integer = 0
    """What fills up `input_ids`."""
    ignore_index: _Integer = -100
    """What fills up `labels`: what the loss ignores."""


def _dtype(value: object) -> object:
    return {"dtype": value} if isinstance(value, str) else value


def _as(value: object) -> object:
    return {"as": value} if isinstance(value, str) else value


def _or_text(schema: dict[str, Any]) -> None:
    """Tell editors of the short form: a single name."""
    reference = schema.pop("$ref", None)
    own = {"$ref": reference} if reference else {key: schema.pop(key) for key in list(schema)}
    schema["anyOf"] = [own, {"type": "string"}]


Converts = dict[str, Annotated[ConvertConfig, BeforeValidator(_dtype), Field(json_schema_extra=_or_text)]]
"""A conversion for each column; a type's name alone is enough."""
Raggeds = dict[str, Annotated[RaggedConfig, BeforeValidator(_as), Field(json_schema_extra=_or_text)]]
"""A form for each column of lists; `ragged` or `padded` alone is enough."""


def parse_converts(value: Mapping[str, Any]) -> dict[str, ConvertConfig]:
    """Return conversions from what a program passes: configs, mappings or names of types.

    Raises:
        ConfigError: One is none.
    """
    converts: dict[str, ConvertConfig] = _parse(Converts, dict(value), "convert")
    return converts


def parse_raggeds(value: Mapping[str, Any]) -> dict[str, RaggedConfig]:
    """Return the forms of columns of lists from what a program passes: configs, mappings or names.

    Raises:
        ConfigError: One is none.
    """
    raggeds: dict[str, RaggedConfig] = _parse(Raggeds, dict(value), "ragged")
    return raggeds


def parse_pack(value: PackConfig | Mapping[str, Any]) -> PackConfig:
    """Return the packing from what a program passes: a config or a mapping.

    Raises:
        ConfigError: It is none.
    """
    packed: PackConfig = _parse(PackConfig, value if isinstance(value, PackConfig) else dict(value), "pack")
    return packed


def _parse(kind: Any, value: object, what: str) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in (what, *first["loc"]))
        raise ConfigError(f"{place}: {first['msg']}") from error
