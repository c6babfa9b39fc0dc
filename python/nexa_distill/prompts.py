"""From a row of the input to the chat messages that ask about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nexa_data.errors import ConfigError, RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nexa_distill.inputs import InputRow
    from nexa_distill.manifest import CollectionManifest

__all__ = ["PromptRenderer"]

_SYSTEM_ROLES = frozenset({"system", "developer"})


@dataclass(frozen=True, slots=True)
class PromptRenderer:
    """Makes messages of a row, as a manifest says: from a column, from a list of messages, or by a template.

    Args:
        source: Manifest key that says how: `prompt_column`, `messages_column` or `template`.
        columns: Columns that are needed: the named ones first.
        system_prompt: Put before messages that don't start with a system message of their own.
        template: Compiled jinja2 template, where there is one.
        context_column: Column with a text that is put before the prompt.
        task_column: Column whose value chooses among `system_prompts`.
        system_prompts: System message by kind of task.
        tools_column: Column with the tools of each row's request.
    """

    source: str
    columns: tuple[str, ...]
    system_prompt: str | None = None
    template: Any = field(default=None, repr=False)
    context_column: str | None = None
    task_column: str | None = None
    system_prompts: Mapping[str, str] = field(default_factory=dict)
    tools_column: str | None = None

    @classmethod
    def of(cls, manifest: CollectionManifest) -> PromptRenderer:
        """Make the renderer that `manifest` asks for.

        Raises:
            ConfigError: The template isn't valid jinja2, or names no column.
        """
        template: Any = None
        columns: tuple[str, ...] = (str(manifest.messages_column or manifest.prompt_column),)
        source = "prompt_column" if manifest.messages_column is None else "messages_column"
        if manifest.template is not None:
            source, (template, columns) = "template", _compile(manifest.template)
        beside = (manifest.context_column, manifest.task_type_column, manifest.tools_column)
        return cls(
            source,
            tuple(dict.fromkeys([*columns, *(name for name in beside if name is not None)])),
            manifest.system_message(),
            template,
            manifest.context_column,
            manifest.task_type_column,
            manifest.system_prompts,
            manifest.tools_column,
        )

    def messages(self, row: InputRow) -> list[dict[str, Any]]:
        """Return the messages that ask about `row`.

        Raises:
            RecordError: The row has no prompt, with its place.
        """
        if self.source == "messages_column":
            messages = _listed(row, self.columns[0])
        else:
            messages = [{"role": "user", "content": self._text(row)}]
        system = self.system_prompt
        if self.task_column is not None:
            system = self.system_prompts.get(str(row.values.get(self.task_column)), system)
        if system is not None and messages[0]["role"] not in _SYSTEM_ROLES:
            messages.insert(0, {"role": "system", "content": system})
        return messages

    def tools(self, row: InputRow) -> list[dict[str, Any]] | None:
        """Return the tools of `row`'s request; None where there are none.

        Raises:
            RecordError: The column holds no list of tools.
        """
        if self.tools_column is None or not row.values.get(self.tools_column):
            return None
        return _objects(row, self.tools_column, "type", "tools", '[{"type": "function", "function": {…}}]')

    def _text(self, row: InputRow) -> str:
        text = row.values.get(self.columns[0]) if self.template is None else _rendered(self.template, row)
        if not isinstance(text, str) or not text.strip():
            found = "empty" if isinstance(text, str) else f"{type(text).__name__}, not text"
            raise RecordError(f"{row.place}: the prompt is {found}", remedy="fill it or take the row out")
        context = row.values.get(self.context_column) if self.context_column else None
        return f"{context}\n\n{text}" if context else text


def _compile(source: str) -> tuple[Any, tuple[str, ...]]:
    from jinja2 import StrictUndefined, TemplateSyntaxError, meta
    from jinja2.sandbox import SandboxedEnvironment

    # Prompts are text for a model, not HTML: escaping would change them.
    environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    try:
        columns = tuple(sorted(meta.find_undeclared_variables(environment.parse(source))))
        template = environment.from_string(source)
    except TemplateSyntaxError as error:
        raise ConfigError(
            f"template: line {error.lineno}: {error.message}", remedy="correct the template"
        ) from error
    if not columns:
        raise ConfigError(
            "template names no column: every prompt would be the same", remedy="use {{ column }}"
        )
    return template, columns


def _rendered(template: Any, row: InputRow) -> str:
    from jinja2 import TemplateError

    try:
        return str(template.render(row.values))
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise RecordError(
            f"{row.place}: the template can't be filled: {error}",
            remedy="fill the column or take the row out",
        ) from error


def _listed(row: InputRow, column: str) -> list[dict[str, Any]]:
    return _objects(row, column, "role", "chat messages", '[{"role": "user", "content": "…"}]')


def _objects(row: InputRow, column: str, needed: str, what: str, example: str) -> list[dict[str, Any]]:
    """Return a column's list of objects, each with the member `needed`, given as a list or as JSON text."""
    import orjson

    value = row.values.get(column)
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            value = None
    good = (
        isinstance(value, list)
        and value
        and all(isinstance(item, dict) and item.get(needed) for item in value)
    )
    if not isinstance(value, list) or not good:
        raise RecordError(
            f"{row.place}: {column} holds no list of {what}",
            remedy=f"write {example}, as a list or as JSON text",
        )
    return [_said(item) for item in value]


def _said(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an object says: a Parquet struct has every field in every row, null where nothing was said."""
    return {
        name: _without_nulls(part) for name, part in item.items() if part is not None or name == "content"
    }


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(part) for name, part in value.items() if part is not None}
    return [_without_nulls(part) for part in value] if isinstance(value, list) else value
