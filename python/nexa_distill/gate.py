"""What an answer must be like to be used: those that aren't are kept, with the reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nexa_data.errors import ConfigError
from nexa_data.optional import needed

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["REFUSALS", "Gate", "GateKeeper"]

REFUSALS = (
    r"^\W*(?:i['\u2019]?m|i am) (?:sorry|afraid|unable|not able)\b",
    r"^\W*(?:i apologi[sz]e|my apologies|sorry,? but)\b",
    r"^\W*(?:i can(?:no|['\u2019])t|i cannot|i won['\u2019]?t|i will not|i must decline)\b",
    r"\bas an? (?:ai|artificial intelligence)(?: language)? model\b",
    r"\b(?:i|we) can(?:no|['\u2019])?t (?:assist|help|comply|fulfil+|provide|continue)\b",
)
"""English openings and phrases of a refusal, case aside."""

_SHOWN_CHARS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Filters of answers; the default lets every answer pass.

    Args:
        min_chars: Shortest text, in characters without surrounding white space.
        max_chars: Longest text.
        refuse_refusals: Reject what reads as a refusal: by the API's own `refusal` field, and by `refusals`.
        refusals: Regular expressions of a refusal, searched in the text with case ignored.
        must_match: Regular expressions of which each must be found in the text.
        must_not_match: Regular expressions of which none may be found.
        json_schema: JSON Schema that the text, read as JSON, must fulfil.
        unique: Reject a text that an earlier row has, exactly.
        reject_cut: Reject answers that were cut at `max_tokens`. They are kept and flagged otherwise.

    Raises:
        ConfigError: A pattern or the schema isn't valid.
    """

    min_chars: int | None = None
    max_chars: int | None = None
    refuse_refusals: bool = False
    refusals: tuple[str, ...] = REFUSALS
    must_match: tuple[str, ...] = ()
    must_not_match: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = None
    unique: bool = False
    reject_cut: bool = False

    def __post_init__(self) -> None:
        """Compile the patterns, and refuse what isn't valid."""
        for name in ("refusals", "must_match", "must_not_match"):
            patterns = getattr(self, name)
            listed = (patterns,) if isinstance(patterns, str) else tuple(patterns)
            object.__setattr__(self, name, listed)
            for pattern in listed:
                _compiled(name, pattern)
        if self.json_schema is not None:
            _validator(self.json_schema)

    @property
    def idle(self) -> bool:
        """Whether every answer passes."""
        return self == Gate(refusals=self.refusals)

    def keeper(self) -> GateKeeper:
        """Return what judges the answers of one output, in their order."""
        return GateKeeper(self)

    def as_dict(self) -> dict[str, Any]:
        """Return what is asked for, as plain values; what has its default is left out."""
        values = {name: getattr(self, name) for name in self.__slots__}
        default = Gate()
        return {name: value for name, value in values.items() if value != getattr(default, name)}


class GateKeeper:
    """Judges answers one after the other; remembers 16 bytes of each where duplicates are rejected."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._seen: set[bytes] = set()
        refusals = gate.refusals if gate.refuse_refusals else ()
        self._refusals = [_compiled("refusals", pattern) for pattern in refusals]
        self._wanted = [_compiled("must_match", pattern) for pattern in gate.must_match]
        self._unwanted = [_compiled("must_not_match", pattern) for pattern in gate.must_not_match]
        self._schema = None if gate.json_schema is None else _validator(gate.json_schema)

    def judge(
        self, text: str | None, *, refusal: str | None = None, finish_reason: str | None = None
    ) -> str | None:
        """Return why an answer is rejected, or None.

        Args:
            text: The answer; None where there is none, as with a tool call: only `unique` and lengths ask for it.
            refusal: The API's own word that the model refused.
            finish_reason: Why the answer ended.
        """
        if self._gate.reject_cut and finish_reason == "length":
            return "cut at max_tokens"
        if self._gate.refuse_refusals and refusal:
            return "refusal"
        return self._judge_text(text or "")

    def _judge_text(self, text: str) -> str | None:
        length = len(text.strip())
        if self._gate.min_chars is not None and length < self._gate.min_chars:
            return f"shorter than {self._gate.min_chars} characters ({length})"
        if self._gate.max_chars is not None and length > self._gate.max_chars:
            return f"longer than {self._gate.max_chars} characters ({length})"
        if any(pattern.search(text) for pattern in self._refusals):
            return "refusal"
        for pattern in self._wanted:
            if not pattern.search(text):
                return f"doesn't match {pattern.pattern!r}"
        for pattern in self._unwanted:
            if pattern.search(text):
                return f"matches {pattern.pattern!r}"
        return self._judge_json(text) or self._judge_unique(text)

    def _judge_json(self, text: str) -> str | None:
        if self._schema is None:
            return None
        import orjson

        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            return f"not JSON: {error}"
        fault = next(self._schema.iter_errors(document), None)
        if fault is None:
            return None
        place = "/".join(map(str, fault.path)) or "the document"
        return f"JSON Schema: {place} breaks {fault.validator!r}"[:_SHOWN_CHARS]

    def _judge_unique(self, text: str) -> str | None:
        if not self._gate.unique:
            return None
        import hashlib

        digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
        if digest in self._seen:
            return "duplicate of an earlier answer"
        self._seen.add(digest)
        return None


def _compiled(name: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.IGNORECASE if name == "refusals" else 0)
    except re.error as error:
        raise ConfigError(
            f"{name}: {pattern!r} is no regular expression: {error}", remedy="correct it; quote backslashes"
        ) from error


def _validator(schema: Mapping[str, Any]) -> Any:
    with needed("jsonschema", "a JSON Schema in the quality gate", install="nexa-data[distill]"):
        import jsonschema

    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(dict(schema))
    except jsonschema.SchemaError as error:
        raise ConfigError(
            f"json_schema isn't valid: {error.message}", remedy="correct it; see json-schema.org"
        ) from error
    return kind(dict(schema))
