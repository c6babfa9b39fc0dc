"""Where each value of a config came from, so that an error can say its file and line."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_origin

from nexa_data.errors import ConfigError, ShardNotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel, ValidationError

__all__ = ["ConfigSource", "nearest"]

_Keys = tuple[str | int, ...]


def nearest(name: str, known: Sequence[str]) -> str | None:
    """Return the known name that `name` most looks like, or None.

    Example:
        >>> nearest("batch_sise", ["batch_size", "shuffle"])
        'batch_size'
    """
    found = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return found[0] if found else None


@dataclass
class ConfigSource:
    """A config as it was read: its tree, the line of each key, and what was overridden."""

    origin: str
    tree: Any
    lines: dict[_Keys, int] = field(default_factory=dict)
    overridden: dict[_Keys, str] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        config: Path | str | Mapping[str, Any],
        overrides: Sequence[str] | Mapping[str, Any] = (),
        *,
        origin: str | None = None,
    ) -> Self:
        """Read a file or mapping and lay the overrides over it."""
        import yaml
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        if isinstance(config, Mapping):
            source = cls(origin or "<mapping>", OmegaConf.create(_plain(config)))
        elif isinstance(config, Path | str):
            source = cls._read_file(Path(config))
        else:
            raise ConfigError(
                f"a config is a path, a mapping or a Config, not {type(config).__name__}",
                remedy="pass the path of a YAML file",
            )
        pairs = (
            [f"{key}={json.dumps(_plain(value), ensure_ascii=False)}" for key, value in overrides.items()]
            if isinstance(overrides, Mapping)
            else overrides
        )
        for pair in pairs:
            key, equals, _ = pair.partition("=")
            if not equals or not key.strip():
                raise ConfigError(
                    f"override {pair!r} is not of the form key=value", remedy="for example data.batch_size=64"
                )
            source.overridden[tuple(key.strip().split("."))] = pair
        try:
            dotlist = OmegaConf.from_dotlist([_without_syntax(pair) for pair in pairs])
            source.tree = OmegaConf.merge(source.tree, dotlist)
        except yaml.YAMLError as error:
            what = getattr(error, "problem", None) or _first_line(error)
            raise ConfigError(
                f"{source.origin}: a value of the overrides {list(pairs)} is not valid YAML: {what}",
                remedy="close every quote and bracket, and leave a space after a colon: 'data.label={column: y}'",
            ) from error
        except (OmegaConfBaseException, ValueError) as error:
            raise ConfigError(
                f"{source.origin}: overrides {list(pairs)} don't fit: {_first_line(error)}"
            ) from error
        return source

    @classmethod
    def _read_file(cls, path: Path) -> Self:
        import yaml
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        try:
            text = path.read_text(encoding="utf-8-sig")
        except FileNotFoundError as error:
            raise ShardNotFoundError(
                f"there is no config {path.absolute()}", remedy="check the path"
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{path}: can't be read: {error}", remedy="a config is a UTF-8 YAML file"
            ) from error
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            tree = OmegaConf.create(text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f"{path}:{mark.line + 1}" if mark else str(path)
            what = getattr(error, "problem", None) or _first_line(error)
            raise ConfigError(
                f"{place}: not valid YAML: {what}", remedy="check indentation, quotes and colons"
            ) from error
        except (OmegaConfBaseException, ValueError, RecursionError) as error:
            raise ConfigError(f"{path}: {_first_line(error)}") from error
        if not isinstance(root, yaml.MappingNode):
            found = "empty" if root is None else "not a mapping"
            raise ConfigError(
                f"{path}: the config is {found}", remedy="start with `data:` and below it `dataset_name:`"
            )
        lines: dict[_Keys, int] = {}
        _collect_lines(root, (), lines)
        return cls(str(path), tree, lines)

    def sections(self, *names: str) -> dict[str, Any]:
        """Return the named sections, interpolations resolved; absent ones are left out."""
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        found: dict[str, Any] = {}
        for name in names:
            try:
                section = self.tree.get(name)
                value = (
                    OmegaConf.to_container(section, resolve=True) if OmegaConf.is_config(section) else section
                )
            except OmegaConfBaseException as error:
                raise ConfigError(
                    f"{self.origin}: {name}: {_first_line(error)}",
                    remedy="set the variable or give a default: ${oc.env:NAME,default}",
                ) from error
            if value is not None:
                found[name] = value
        return found

    def place(self, keys: _Keys) -> str:
        """Return where the value under `keys` was written: an override, `file:line`, or the origin alone."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.overridden:
                return f"override {self.overridden[keys[:length]]}"
            if keys[:length] in self.lines:
                return f"{self.origin}:{self.lines[keys[:length]]}"
        return self.origin

    def explain(self, error: ValidationError, model: type[BaseModel]) -> str:
        """Return a line for each fault that pydantic found: place, key, what, remedy."""
        return "\n".join(self._explain_one(dict(fault), model) for fault in error.errors())

    def _explain_one(self, fault: dict[str, Any], model: type[BaseModel]) -> str:
        keys: _Keys = tuple(fault["loc"])
        name = ".".join(map(str, keys)) or "config"
        place = self.place(keys)
        if fault["type"] == "extra_forbidden":
            known = _known_keys(model, keys[:-1])
            near = nearest(str(keys[-1]), known)
            remedy = f"did you mean `{near}`?" if near else f"known here: {', '.join(known)}"
            return f"{place}: {name}: unknown key; {remedy}"
        if fault["type"] == "missing":
            return f"{place}: {name} is missing; add it"
        message = str(fault["msg"]).removeprefix("Value error, ")
        given = fault.get("input")
        shown = f" (given: {given!r})" if isinstance(given, str | int | float | bool | None) else ""
        return f"{place}: {name}: {message[:1].lower()}{message[1:]}{shown}"


def _without_syntax(pair: str) -> str:
    """Return an override whose value is a single mark, such as `|`, quoted: by itself it is syntax of YAML and no value."""
    key, _, value = pair.partition("=")
    mark = len(value) == 1 and not value.isalnum() and value != "~"
    return f"{key}={json.dumps(value)}" if mark else pair


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key if isinstance(key, bool) else str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _collect_lines(node: Any, keys: _Keys, lines: dict[_Keys, int]) -> None:
    import yaml

    if len(keys) > 32:  # noqa: PLR2004 (aliases may nest without end; no config is that deep)
        return
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                lines[(*keys, key.value)] = key.start_mark.line + 1
                _collect_lines(value, (*keys, key.value), lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*keys, index)] = value.start_mark.line + 1
            _collect_lines(value, (*keys, index), lines)


def _known_keys(model: type[BaseModel], keys: _Keys) -> list[str]:
    inside = iter(keys)
    for key in inside:
        if isinstance(key, int):
            continue  # an item of a list, whose model was found with the list
        info = model.model_fields.get(str(key))
        inner = _model_of(info.annotation) if info else None
        if inner is None:
            return []
        if info is not None and get_origin(info.annotation) is dict:
            # The next key is one of the user's own: a column's name.
            next(inside, None)
        model = inner
    return sorted(info.alias or name for name, info in model.model_fields.items())


def _model_of(annotation: Any) -> type[BaseModel] | None:
    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = _model_of(part)
        if found is not None:
            return found
    return None
