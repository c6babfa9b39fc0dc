"""The rules of a config's `checks:`: what each may say, read and refused in one place."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nexa_data.config_source import nearest
from nexa_data.errors import ConfigError
from nexa_data.findings import Severity
from nexa_data.quality.custom import registered_checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["RULES", "Check", "parse_checks"]


@dataclass(frozen=True, slots=True)
class Check:
    """One rule: its name, its bounds, the columns it is about, and how bad it is when the data breaks it.

    Args:
        name: The rule.
        options: Its bounds by name; a single one is `value`.
        severity: Of what it finds.
        columns: Names or globs; empty for all that it applies to.
        max_share: Share of the rows that may break it.
        max_count: Rows that may break it.
        given: The rule as it was written.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    severity: Severity = Severity.ERROR
    columns: tuple[str, ...] = ()
    max_share: float | None = None
    max_count: int | None = None
    given: Any = None

    @property
    def value(self) -> Any:
        """The bound, of a rule that has one."""
        return self.options.get("value")

    def chosen(self, names: Iterable[str]) -> list[str]:
        """Return those of some columns that the rule is about."""
        if not self.columns:
            return list(names)
        return [
            name
            for name in names
            if any(name == each or fnmatch.fnmatchcase(name, each) for each in self.columns)
        ]

    def tolerates(self, count: int, rows: int) -> bool:
        """Say whether so many of the rows may break the rule."""
        if self.max_share is None and self.max_count is None:
            return count == 0
        within_share = self.max_share is None or count <= self.max_share * rows
        return within_share and (self.max_count is None or count <= self.max_count)

    @property
    def tolerance(self) -> str:
        """What may break the rule, for messages."""
        shares = [] if self.max_share is None else [f"{self.max_share:.4g} of the rows"]
        counts = [] if self.max_count is None else [f"{self.max_count} rows"]
        return " and ".join(shares + counts) or "none"


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _share(value: Any) -> bool:
    return _number(value) and 0 <= value <= 1


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _listed(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and not any(isinstance(each, list | dict) for each in value)
    )


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _sides(value: Any) -> bool:
    return isinstance(value, list) and all(_count(each) for each in value)


@dataclass(frozen=True, slots=True)
class _Form:
    """What a rule may say: its bounds with what they are, and whether some must be there, or columns, or a tolerance."""

    bounds: dict[str, tuple[Callable[[Any], bool], str]] = field(default_factory=dict)
    columns: bool = True
    tolerant: bool = False
    needs_columns: bool = False


_NUMBER = (_number, "a number")
_A_SHARE = (_share, "a number from 0 to 1")
_A_COUNT = (_count, "a whole number")

RULES: dict[str, _Form] = {
    "allowed": _Form({"value": (_listed, "a list of values")}, tolerant=True, needs_columns=True),
    "dtype": _Form({"value": (_text, "the name of a type, such as float32")}),
    "max_class_imbalance": _Form({"value": _NUMBER}, columns=False),
    "max_drift": _Form({"psi": _NUMBER, "ks": _NUMBER, "js": _NUMBER}),
    "max_duplicates": _Form(columns=False, tolerant=True),
    "max_infinite_share": _Form({"value": _A_SHARE}),
    "max_nan_share": _Form({"value": _A_SHARE}),
    "max_null_share": _Form({"value": _A_SHARE}),
    "max_outlier_share": _Form({"value": _A_SHARE}),
    "mean": _Form({"min": _NUMBER, "max": _NUMBER}),
    "min_class_count": _Form({"value": _A_COUNT}, columns=False),
    "min_rows": _Form({"value": _A_COUNT}, columns=False),
    "no_conflicts": _Form(columns=False, tolerant=True),
    "no_leakage": _Form(columns=False, tolerant=True),
    "not_null": _Form(tolerant=True),
    "range": _Form({"min": _NUMBER, "max": _NUMBER}, tolerant=True),
    "regex": _Form({"value": (_text, "a regular expression")}, tolerant=True, needs_columns=True),
    "shape": _Form({"value": (_sides, "a list of whole numbers")}),
    "std": _Form({"min": _NUMBER, "max": _NUMBER}),
    "unique": _Form(tolerant=True, needs_columns=True),
}
"""Rules by name."""

_OF_ALL = frozenset({"severity", "column", "columns", "max_share", "max_count"})


def parse_checks(checks: Sequence[str | Mapping[str, Any]], place: str = "data.checks") -> list[Check]:
    """Return the rules that the config's `checks:` names.

    A rule is written as its name, or as `{name: bound}`, or as `{name: {value: bound, column: age, max_share: 0.01,
    severity: warning}}`; `column` or `columns` are names or globs, and default to all that the rule applies to.

    Args:
        checks: The rules as they are written.
        place: What the list is called in messages.

    Raises:
        ConfigError: A rule is unknown or malformed.

    Example:
        >>> [check.name for check in parse_checks(["no_leakage", {"range": {"min": 0, "column": "age"}}])]
        ['no_leakage', 'range']
    """
    return [_parse(f"{place}[{number}]", item) for number, item in enumerate(checks)]


def _parse(place: str, item: Any) -> Check:
    said: Any
    if isinstance(item, str):
        name, said = item, None
    elif isinstance(item, Mapping) and len(item) == 1:
        ((name, said),) = item.items()
    else:
        raise ConfigError(f"{place}: {item!r} is not one rule", remedy="write it as {max_nan_share: 0}")
    form = _form(place, name)
    options = _options(form, said)
    severity = options.pop("severity", Severity.ERROR)
    if severity not in list(Severity):
        raise ConfigError(f"{place}.severity is none of {', '.join(Severity)}")
    columns = _columns(place, name, form, options)
    tolerance = _tolerance(place, name, form, options)
    _require_bounds(place, name, form, options)
    return Check(name, options, Severity(severity), columns, *tolerance, given=item)


def _form(place: str, name: Any) -> _Form:
    if name in RULES:
        return RULES[name]
    if name in registered_checks():
        return _Form(columns=False, tolerant=True)
    known = sorted({*RULES, *registered_checks()})
    near = nearest(str(name), known)
    hint = f"did you mean {near}? " if near else ""
    raise ConfigError(f"{place}: unknown rule {name!r}", remedy=f"{hint}known: {', '.join(known)}")


def _options(form: _Form, said: Any) -> dict[str, Any]:
    if isinstance(said, Mapping):
        return dict(said)
    if said is True or said is None:
        return {}
    # `max_duplicates: 0.01` is a share, `max_duplicates: 5` a count.
    if not form.bounds and form.tolerant and _number(said):
        return {"max_count" if isinstance(said, int) else "max_share": said}
    return {"value": said}


def _columns(place: str, name: str, form: _Form, options: dict[str, Any]) -> tuple[str, ...]:
    found: list[str] = []
    for key in ("column", "columns"):
        given = options.pop(key, [])
        found += [given] if isinstance(given, str) else given
    if found and not form.columns:
        raise ConfigError(f"{place}.{name} is about the records as a whole", remedy="leave `column` out")
    if not all(isinstance(each, str) for each in found):
        raise ConfigError(f"{place}.{name}.columns are names, not {found}")
    if form.needs_columns and not found:
        raise ConfigError(f"{place}.{name} wants to know which column", remedy="add `column: NAME`")
    return tuple(found)


def _tolerance(
    place: str, name: str, form: _Form, options: dict[str, Any]
) -> tuple[float | None, int | None]:
    share, count = options.pop("max_share", None), options.pop("max_count", None)
    if not form.tolerant and (share is not None or count is not None):
        raise ConfigError(f"{place}.{name} counts no rows", remedy="leave max_share and max_count out")
    if share is not None and not _share(share):
        raise ConfigError(f"{place}.{name}.max_share is {share!r}", remedy="a number from 0 to 1")
    if count is not None and not _count(count):
        raise ConfigError(f"{place}.{name}.max_count is {count!r}", remedy="a whole number")
    return share, count


def _require_bounds(place: str, name: str, form: _Form, options: Mapping[str, Any]) -> None:
    for key, value in options.items():
        if key not in form.bounds:
            known = sorted({*form.bounds, *_OF_ALL})
            near = nearest(str(key), known)
            hint = f"did you mean {near}? " if near else ""
            raise ConfigError(
                f"{place}.{name}: there is no {key!r}", remedy=f"{hint}known: {', '.join(known)}"
            )
        fits, what = form.bounds[key]
        if not fits(value):
            raise ConfigError(f"{place}.{name}.{key} is {value!r}", remedy=f"write {what}")
    if form.bounds and not options:
        wanted = " or ".join(f"{key}: {what}" for key, (_, what) in form.bounds.items())
        raise ConfigError(f"{place}.{name} has no bound", remedy=f"add {wanted}")
    low, high = options.get("min"), options.get("max")
    if low is not None and high is not None and low > high:
        raise ConfigError(f"{place}.{name}: min {low} is above max {high}")
