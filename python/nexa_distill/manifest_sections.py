"""The sections of a collection manifest: budget, prices, journal, filters."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (pydantic reads the annotations)
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from nexa_distill.budget import Budget, Price
from nexa_distill.gate import REFUSALS, Gate
from nexa_distill.run_folder import JournalPolicy

__all__ = ["BudgetSection", "FiltersSection", "JournalSection", "PriceSection", "Section", "listed"]


def listed(value: object) -> object:
    """Return a string as a list of one."""
    return [value] if isinstance(value, str) else value


class Section(BaseModel):
    """A mapping of the manifest; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class BudgetSection(Section):
    """The most that a run may spend over all its sessions; what is lost or repeated counts too."""

    max_cost: Annotated[float, Field(gt=0)] | None = None
    """Money, in the currency of `prices`."""
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    """Tokens, prompt and answer together."""
    max_requests: Annotated[int, Field(gt=0)] | None = None
    """Requests sent, failed ones and repeated ones included."""

    def budget(self) -> Budget:
        """Return what the collector needs."""
        return Budget(self.max_cost, self.max_tokens, self.max_requests)


class PriceSection(Section):
    """Price of a model's tokens, per million."""

    prompt: Annotated[float, Field(ge=0)]
    """Of a million prompt tokens."""
    completion: Annotated[float, Field(ge=0)]
    """Of a million answered tokens."""

    def price(self) -> Price:
        """Return what the collector needs."""
        return Price(self.prompt, self.completion)


class DaysSection(Section):
    """A time after publication."""

    days: Annotated[float, Field(ge=0)]
    """Days after publication during which answers are kept in the run's folder."""


class JournalSection(Section):
    """Where a run keeps what it asked and was answered, and for how long."""

    dir: Path | None = None
    """Folder of the runs' folders, which are private (0700); default: `.teacher-runs` beside the output."""
    retain: Literal["until_published", "forever"] | DaysSection = "until_published"
    """How long the answers' bodies are kept: `until_published`, `forever`, or `days: N` after publication."""
    bodies: Literal["zstd", "raw"] = "zstd"
    """How they are kept."""

    def policy(self) -> JournalPolicy:
        """Return what the collector needs."""
        retain = self.retain.days if isinstance(self.retain, DaysSection) else self.retain
        return JournalPolicy(self.dir, retain, self.bodies)


_Patterns = Annotated[list[str], BeforeValidator(listed)]


class FiltersSection(Section):
    """What an answer must be like; what isn't is kept in the output with status `rejected` and the reason."""

    min_chars: Annotated[int, Field(ge=0)] | None = None
    """Shortest text, in characters without surrounding white space."""
    max_chars: Annotated[int, Field(ge=0)] | None = None
    """Longest text."""
    refusals: bool | _Patterns = False
    """Reject refusals: `true` for common English ones and the API's own word, or a list of regular expressions."""
    must_match: _Patterns = []
    """Regular expressions of which each must be found in the text."""
    must_not_match: _Patterns = []
    """Regular expressions of which none may be found."""
    json_schema: dict[str, Any] | None = None
    """JSON Schema that the text, read as JSON, must fulfil."""
    unique: bool = False
    """Reject a text that an earlier row has, exactly."""
    reject_cut: bool = False
    """Reject answers that were cut at `max_tokens`; they are kept and flagged otherwise."""

    def gate(self) -> Gate:
        """Return what the collector needs.

        Raises:
            ConfigError: A pattern or the schema isn't valid.
        """
        return Gate(
            min_chars=self.min_chars,
            max_chars=self.max_chars,
            refuse_refusals=bool(self.refusals),
            refusals=REFUSALS if isinstance(self.refusals, bool) else tuple(self.refusals),
            must_match=tuple(self.must_match),
            must_not_match=tuple(self.must_not_match),
            json_schema=self.json_schema,
            unique=self.unique,
            reject_cut=self.reject_cut,
        )
