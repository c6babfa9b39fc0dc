"""From a row of the input to the chat messages that ask about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nexa_data.errors import ConfigError, RecordError

if TYPE_CHECKING:
    from nexa_distill.inputs import InputRow
    from nexa_distill.manifest import CollectionManifest

__all__ = ["PromptRenderer"]

_SYSTEM_ROLES = frozenset({"system", "developer"})


@dataclass(frozen=True, slots=True)
class PromptRenderer:
    """Makes messages of a row, as a manifest says: from a column, from a list of messages, or by a template.

    Args:
        source: Manifest key that says how: `prompt_column`, `messages_column` or `template`.
        columns: Columns that are needed.
        system_prompt: Put before messages that don't start with a system message of their own.
        template: Compiled jinja2 template, where there is one.
    """

    source: str
    columns: tuple[str, ...]
    system_prompt: str | None = None
    template: Any = field(default=None, repr=False)

    @classmethod
    def of(cls, manifest: CollectionManifest) -> PromptRenderer:
        """Make the renderer that `manifest` asks for.

        Raises:
            ConfigError: The template isn't valid jinja2, or names no column.
        """
        if manifest.template is not None:
            template, columns = _compile(manifest.template)
            return cls("template", columns, manifest.system_prompt, template)
        if manifest.messages_column is not None:
            return cls("messages_column", (manifest.messages_column,), manifest.system_prompt)
        return cls("prompt_column", (str(manifest.prompt_column),), manifest.system_prompt)

    def messages(self, row: InputRow) -> list[dict[str, Any]]:
        """Return the messages that ask about `row`.

        Raises:
            RecordError: The row has no prompt, with its place.
        """
        if self.source == "messages_column":
            messages = _listed(row, self.columns[0])
        else:
            messages = [{"role": "user", "content": self._text(row)}]
        if self.system_prompt is not None and messages[0]["role"] not in _SYSTEM_ROLES:
            messages.insert(0, {"role": "system", "content": self.system_prompt})
        return messages

    def _text(self, row: InputRow) -> str:
        text = row.values.get(self.columns[0]) if self.template is None else _rendered(self.template, row)
        if not isinstance(text, str) or not text.strip():
            found = "empty" if isinstance(text, str) else f"{type(text).__name__}, not text"
            raise RecordError(f"{row.place}: the prompt is {found}", remedy="fill it or take the row out")
        return text


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
        and all(isinstance(item, dict) and item.get("role") for item in value)
    )
    if not isinstance(value, list) or not good:
        raise RecordError(
            f"{row.place}: {column} holds no list of chat messages",
            remedy='write [{"role": "user", "content": "…"}], as a list or as JSON text',
        )
    # A Parquet struct has every field in every row; what is null there wasn't said.
    return [
        {name: part for name, part in item.items() if part is not None or name == "content"} for item in value
    ]
