"""What a user may say in a collection manifest, and the one place where it is checked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from nexa_data.config_source import ConfigSource
from nexa_data.errors import ConfigError, NexaError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from nexa_distill.settings import MAX_TOP_LOGPROBS, TeacherSettings

__all__ = ["CollectionManifest", "load_manifest", "manifest_schema"]

_KEY_LIKE = re.compile(
    r"\b(?:(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}|(?:gsk|hf|xai)[-_][A-Za-z0-9_-]{20,}|AIza[A-Za-z0-9_-]{30,}|AKIA[A-Z0-9]{16})"
)
_KEY_NAMES = frozenset({"api_key", "apikey", "openai_api_key", "authorization"})
_SHORTEST_KEY = 8


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class CollectionManifest(BaseModel):
    """Manifest of one teacher collection; an unknown key is an error. The API key never stands in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    model: Annotated[str, Field(min_length=1)]
    """Name of the teacher as the endpoint knows it."""
    input: Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
    """Parquet, JSON Lines or CSV files: path, glob, or a list of them, relative to the working directory."""
    output_dir: Path
    """Folder that the artifact will be."""
    prompt_column: str | None = None
    """Column that holds the prompt. Exactly one of this, `messages_column` and `template` is needed."""
    messages_column: str | None = None
    """Column that holds a list of chat messages, or the same as JSON text."""
    template: str | None = None
    """jinja2 template over the columns, rendered in a sandbox; a column that isn't there is an error."""
    system_prompt: str | None = None
    """System message, put before messages that don't start with one."""
    carry_columns: list[str] | None = None
    """Input columns to carry to the output; default: all."""
    max_samples: Annotated[int, Field(ge=1)] | None = None
    """Ask about the first so many rows only."""
    labels: list[str] = []
    """Label set of a classifier: the output then has the teacher's distribution over it."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """Sampling temperature; default: the endpoint's."""
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """Nucleus sampling share; default: the endpoint's."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """Most tokens per answer; 1 is enough for labels."""
    seed: int | None = None
    """Seed, for endpoints that honour one."""
    logprobs: bool = False
    """Keep the log probability of each answered token."""
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    """Alternatives per token; implies `logprobs`. With `labels` the default is 20."""
    extra_body: dict[str, Any] = {}
    """Further fields of the request body, such as `response_format`."""
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 16
    """Requests in flight at once."""
    timeout_s: Annotated[float, Field(gt=0)] = 120.0
    """Longest time for one attempt."""
    retries: Annotated[int, Field(ge=0, le=99)] = 5
    """Further attempts after a rate limit, a server error, a timeout or a lost connection."""

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
        return self

    def settings(self) -> TeacherSettings:
        """Return what the collector needs of the manifest.

        Raises:
            ConfigError: Values that don't go together, such as labels without alternatives.
        """
        return TeacherSettings(
            model=self.model,
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            seed=self.seed,
            logprobs=self.logprobs,
            top_logprobs=self.top_logprobs,
            labels=tuple(self.labels),
            extra_body=self.extra_body,
            concurrency=self.concurrency,
            timeout_s=self.timeout_s,
            max_attempts=self.retries + 1,
        )


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
    """Refuse a manifest that holds an API key, by its name or by its look."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if str(name).lower() in _KEY_NAMES and isinstance(item, str):
                raise _holds_key(read, (*keys, str(name)))
            _refuse_keys(read, item, (*keys, str(name)), secret)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _refuse_keys(read, item, (*keys, index), secret)
    elif isinstance(value, str):
        known = secret is not None and len(secret) >= _SHORTEST_KEY and secret in value
        if known or _KEY_LIKE.search(value):
            raise _holds_key(read, keys)


def _holds_key(read: ConfigSource, keys: tuple[str | int, ...]) -> NexaError:
    return ConfigError(
        f"{read.place(keys)}: {'.'.join(map(str, keys))} looks like an API key (not shown)",
        remedy="take it out of the manifest, revoke it if the file was shared, and set OPENAI_API_KEY",
    )
