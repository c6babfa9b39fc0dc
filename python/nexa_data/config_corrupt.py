"""The faults that synthetic data may get, in a config."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from nexa_data.config_section import Section, no_bool

__all__ = ["CorruptConfig"]

_Share = Annotated[float, Field(ge=0.0, le=1.0), BeforeValidator(no_bool)]


class CorruptConfig(Section):
    """Faults of synthetic data, each as a share; a pipeline's checks should find them at these rates."""

    missing: _Share = 0.0
    """Of the values: NaN."""
    infinite: _Share = 0.0
    """Of the values: infinite."""
    outliers: _Share = 0.0
    """Of the values: 40 standard deviations off."""
    duplicates: _Share = 0.0
    """Of the records: repeat an earlier one of their split."""
    conflicts: _Share = 0.0
    """Of the records: repeat the features of one, with another label."""
    leakage: _Share = 0.0
    """Of the records of validation and test: repeat one of train."""
    label_noise: _Share = 0.0
    """Of the records: have the label of another class."""
    drift: _Share = 0.0
    """Of the features: have moved by about a standard deviation."""
