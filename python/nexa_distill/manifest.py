"""What a user may say in a collection manifest, and the one place where it is checked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from nexa_data.config_source import ConfigSource
from nexa_data.errors import ConfigError, NexaError
from nexa_data.redaction import environment_secrets
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from nexa_distill.manifest_sections import (
    BudgetSection,
    FiltersSection,
    JournalSection,
    PriceSection,
    Section,
    listed,
)
from nexa_distill.settings import MAX_TOP_LOGPROBS, TeacherSettings

__all__ = ["CollectionManifest", "load_manifest", "manifest_schema"]

_KEY_LIKE = re.compile(
    r"\b(?:(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}|(?:gsk|hf|xai)[-_][A-Za-z0-9_-]{20,}|AIza[A-Za-z0-9_-]{30,}|AKIA[A-Z0-9]{16})"
)
_KEY_NAMES = frozenset({"api_key", "apikey", "openai_api_key", "authorization"})
_SHORTEST_KEY = 8
_EXCLUDING = (("system_prompt", "system_prompt_file"), ("json_schema", "response_format"))
_NEEDING = (("context_column", "prompt_column"), ("system_prompts", "task_type_column"))


class CollectionManifest(Section):
    """Manifest of one teacher collection; an unknown key is an error. The API key never stands in it."""

    model: Annotated[str, Field(min_length=1)]
    """Name of the teacher as the endpoint knows it."""
    input: Annotated[list[str], BeforeValidator(listed), Field(min_length=1)]
    """Parquet, JSON Lines or CSV files (path, glob, or a list of them, relative to the working directory), or a
    catalog of shards: `catalog.jsonl`, or the folder that it lies in."""
    output_dir: Path
    """Folder that the artifact will be."""
    prompt_column: str | None = None
    """Column that holds the prompt. Exactly one of this, `messages_column` and `template` is needed."""
    context_column: str | None = None
    """Column with a context, put before the prompt of `prompt_column` with an empty line between; may be empty."""
    task_type_column: str | None = None
    """Column with the kind of task; `system_prompts` may hold a system message for each kind."""
    messages_column: str | None = None
    """Column that holds a list of chat messages (turns, tool calls and their results), or the same as JSON text."""
    tools_column: str | None = None
    """Column with the tools of each row's request, a list or JSON text; for tools of all rows use `extra_body`."""
    template: str | None = None
    """jinja2 template over the columns, rendered in a sandbox; a column that isn't there is an error."""
    system_prompt: str | None = None
    """System message, put before messages that don't start with one."""
    system_prompt_file: Path | None = None
    """Text file with the system message, instead of `system_prompt`."""
    system_prompts: dict[str, str] = Field(default_factory=dict)
    """System message for each value of `task_type_column`; the others get `system_prompt`."""
    carry_columns: list[str] | None = None
    """Input columns to carry to the output; default: all."""
    max_samples: Annotated[int, Field(ge=1)] | None = None
    """Ask about the first so many rows only."""
    labels: list[str] = Field(default_factory=list)
    """Label set of a classifier: the output then has the teacher's probability of each."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """Sampling temperature; default: the endpoint's."""
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """Nucleus sampling share; default: the endpoint's."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """Most tokens per answer; 1 is enough for labels of one token."""
    seed: int | None = None
    """Seed, for endpoints that honour one."""
    n: Annotated[int, Field(ge=1, le=128)] = 1
    """Answers per prompt, drawn in one request; each becomes a row, numbered by `sample`."""
    logprobs: bool = False
    """Keep the log probability of each answered token."""
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    """Alternatives per token; implies `logprobs`. With `labels` the default is 20."""
    json_schema: dict[str, Any] | None = None
    """JSON Schema of the answer: structured output. `filters.json_schema` checks the answers by one."""
    response_format: dict[str, Any] | None = None
    """The API's own field, for forms other than `json_schema`, such as `{type: json_object}`."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request body, such as `tools` or `max_completion_tokens`."""
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 64
    """Most requests in flight at once; fewer are, while the endpoint asks for less."""
    requests_per_minute: Annotated[float, Field(gt=0)] | None = None
    """Most requests per minute; default: what the endpoint's rate headers say."""
    tokens_per_minute: Annotated[float, Field(gt=0)] | None = None
    """Most tokens per minute, prompt and answer together; default as above."""
    budget: BudgetSection = BudgetSection()
    """The most that the run may spend."""
    prices: dict[str, PriceSection] = Field(default_factory=dict)
    """Prices by model, per million tokens; one is needed for a budget in money."""
    timeout_s: Annotated[float, Field(gt=0)] = 120.0
    """Longest time for one attempt."""
    retries: Annotated[int, Field(ge=0, le=99)] = 5
    """Further attempts after a rate limit, a server error, a timeout or a failed connection."""
    retry_base_s: Annotated[float, Field(ge=0, le=3600)] = 0.5
    """Wait before the second attempt; doubles with each further one, with jitter."""
    retry_max_s: Annotated[float, Field(ge=0, le=3600)] = 60.0
    """Longest wait of our own choosing between two attempts."""
    retry_after_max_s: Annotated[float, Field(ge=0, le=86400)] = 600.0
    """Longest wait that the endpoint may ask for; beyond it the run stops, resumable."""
    outage_s: Annotated[float, Field(ge=0, le=86400)] = 120.0
    """Longest outage of the endpoint that is waited for; then the run stops, resumable."""
    resend_unknown: Literal["ask", "never", "always"] = "ask"
    """Whether to send again what was sent and whose answer is lost; `ask` without a terminal is `never`."""
    journal: JournalSection = JournalSection()
    """Where the run keeps what it asked and was answered."""
    filters: FiltersSection = FiltersSection()
    """What an answer must be like."""
    sft: bool = False
    """Write `sft.jsonl` too: chats to fine-tune on, a line `{"messages": […]}` for each answer that is used."""
    allow_http: bool = False
    """Allow plain http to another machine: key and prompts then travel unencrypted."""

    @model_validator(mode="after")
    def _one_prompt_source(self) -> Self:
        named = [
            name
            for name in ("prompt_column", "messages_column", "template")
            if getattr(self, name) is not None
        ]
        if len(named) != 1:
            said = " and ".join(named) or "none"
            raise ValueError(
                f"exactly one of prompt_column, messages_column and template is needed, not {said}"
            )
        for name, other in _EXCLUDING:
            if getattr(self, name) is not None and getattr(self, other) is not None:
                raise ValueError(f"{name} and {other} say the same: give one of them")
        for name, other in _NEEDING:
            if getattr(self, name) and not getattr(self, other):
                raise ValueError(f"{name} needs {other}")
        return self

    def system_message(self) -> str | None:
        """Return the system message, from the file if one is named.

        Raises:
            ConfigError: The file can't be read.
        """
        if self.system_prompt_file is None:
            return self.system_prompt
        try:
            return self.system_prompt_file.read_text(encoding="utf-8-sig").rstrip("\n")
        except (OSError, UnicodeError) as error:
            raise ConfigError(
                f"system_prompt_file {self.system_prompt_file.absolute()} can't be read: {error}",
                remedy="name a UTF-8 text file",
            ) from error

    def settings(self) -> TeacherSettings:
        """Return what the collector needs of the manifest.

        Raises:
            ConfigError: Values that don't go together, such as labels without alternatives.
        """
        price = self.prices.get(self.model)
        return TeacherSettings(
            model=self.model,
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            seed=self.seed,
            n=self.n,
            logprobs=self.logprobs,
            top_logprobs=self.top_logprobs,
            labels=tuple(self.labels),
            response_format=self._response_format(),
            extra_body=self.extra_body,
            concurrency=self.concurrency,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            budget=self.budget.budget(),
            price=None if price is None else price.price(),
            timeout_s=self.timeout_s,
            max_attempts=self.retries + 1,
            retry_base_s=self.retry_base_s,
            retry_max_s=self.retry_max_s,
            retry_after_max_s=self.retry_after_max_s,
            resend_unknown=self.resend_unknown,
            outage_s=self.outage_s,
            gate=self.filters.gate(),
        )

    def _response_format(self) -> dict[str, Any] | None:
        if self.json_schema is None:
            return self.response_format
        named = {"name": self.json_schema.get("title", "answer"), "schema": self.json_schema, "strict": True}
        return {"type": "json_schema", "json_schema": named}


def manifest_schema() -> dict[str, Any]:
    """Return the JSON Schema of a manifest, for editors."""
    schema = CollectionManifest.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "nexa-data collection manifest"
    return schema


def load_manifest(
    source: CollectionManifest | Mapping[str, Any] | Path | str,
    *,
    overrides: Mapping[str, Any] | None = None,
    secret: str | None = None,
) -> CollectionManifest:
    """Read and check a manifest.

    Args:
        source: Path of a YAML or JSON file, or its content.
        overrides: Values that replace those of the manifest.
        secret: The API key, to be sure that it doesn't stand in the manifest.

    Raises:
        ConfigError: The file can't be read, or says something unknown or impossible: with its line, and the
            nearest known key. A manifest that holds an API key is refused without showing it.
    """
    if isinstance(source, CollectionManifest):
        read = ConfigSource("<manifest>", source.model_dump(exclude_unset=True))
    elif isinstance(source, Mapping):
        read = ConfigSource("<manifest>", dict(source))
    else:
        read = _read_file(Path(source))
    _refuse_keys(read, read.tree, (), secret)
    try:
        return CollectionManifest.model_validate({**read.tree, **(overrides or {})})
    except ValidationError as error:
        raise ConfigError(read.explain(error, CollectionManifest)) from error


def _read_file(path: Path) -> ConfigSource:
    import yaml

    try:
        text = path.read_text(encoding="utf-8-sig")
        # JSON is read as YAML too, so that its errors have lines; no interpolation: prompts may hold `${`.
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        tree = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except FileNotFoundError as error:
        raise ConfigError(f"there is no manifest {path.absolute()}", remedy="check the path") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        what = getattr(error, "problem", None) or "not valid YAML"
        raise ConfigError(f"{place}: {what}", remedy="check indentation, quotes and colons") from error
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path} can't be read: {error}", remedy="a manifest is UTF-8 YAML or JSON"
        ) from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: a manifest is a mapping", remedy="start with `model: …` and `input: …`")
    named = root.value if isinstance(root, yaml.MappingNode) else []
    return ConfigSource(str(path), tree, {(str(key.value),): key.start_mark.line + 1 for key, _ in named})


def _refuse_keys(read: ConfigSource, value: Any, keys: tuple[str | int, ...], secret: str | None) -> None:
    """Refuse a manifest that holds an API key, by its name or by its look, or what the environment keeps secret."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if str(name).lower() in _KEY_NAMES and isinstance(item, str):
                raise _holds_key(read, (*keys, str(name)))
            _refuse_keys(read, str(name), keys, secret)
            _refuse_keys(read, item, (*keys, str(name)), secret)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _refuse_keys(read, item, (*keys, index), secret)
    elif isinstance(value, str):
        known = secret is not None and len(secret) >= _SHORTEST_KEY and secret in value
        if known or _KEY_LIKE.search(value):
            raise _holds_key(read, keys)
        held = next((name for name, each in environment_secrets().items() if each in value), None)
        if held is not None:
            raise ConfigError(
                f"{read.place(keys)}: {'.'.join(map(str, keys))} holds the value of the variable {held} (not shown), "
                "and would be sent to the teacher or written beside its answers",
                remedy="take it out of the manifest; if it is no secret, unset the variable",
            )


def _holds_key(read: ConfigSource, keys: tuple[str | int, ...]) -> NexaError:
    return ConfigError(
        f"{read.place(keys)}: {'.'.join(map(str, keys))} looks like an API key (not shown)",
        remedy="take it out of the manifest, revoke it if the file was shared, and set OPENAI_API_KEY",
    )
