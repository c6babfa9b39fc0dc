"""What every section of a config is made of: the strict model, and numbers and paths that are checked where they stand."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["Count", "PathText", "Section", "Weight", "no_bool"]


def no_bool(value: object) -> object:
    """Refuse `true` and `false`, which pydantic would take for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("a number is wanted, not true or false")  # noqa: TRY004 (pydantic collects ValueErrors)
    return value


# The bound stands next to its type, before our validator: only there does it reach the JSON Schema.
Count = Annotated[int, Field(ge=1), BeforeValidator(no_bool)]
Weight = Annotated[float, Field(gt=0.0), BeforeValidator(no_bool)]
# An empty path would silently mean the working directory.
PathText = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    """A section in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)
