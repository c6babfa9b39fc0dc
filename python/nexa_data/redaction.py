"""What nobody else may read is left out of whatever is written: the one place that knows what looks like a secret."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["REDACTED", "SHORTEST_SECRET", "environment_secrets", "redact_text", "redacted"]

REDACTED = "[redacted]"

SHORTEST_SECRET = 8
"""Characters below which a value is a placeholder, or a word that stands elsewhere too."""

_SECRET_NAME = re.compile(
    r"(?i)secret|token|passw|passphrase|\bpass\b|_pass$|\bpwd\b|api_?key|access_?key|private_?key|credential|signature|"
    r"\bsas\b|authorization|bearer"
)
"""Names of environment variables and of keys in a config whose values are secrets."""

_COUNTS = re.compile(r"(?i)(max|min|num|n|top)_?tokens?$|tokens?_?(per|max|min|count|length|ids?)")
"""Names that speak of the tokens of a language model."""

_LOOKS_SECRET = re.compile(
    r"""\b(?:sk|pk|rk|gsk|xai|hf|glpat|npm|pypi)[-_][A-Za-z0-9_*-]{8,}   # keys of services
    |\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}
    |\bxox[abprs]-[A-Za-z0-9-]{10,}
    |\b(?:AKIA|ASIA)[A-Z0-9]{16}\b                                      # access keys of AWS
    |\bAIza[A-Za-z0-9_-]{30,}
    |\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+          # JSON web tokens
    |-----BEGIN\ [A-Z\ ]*PRIVATE\ KEY-----[\s\S]*?(?:-----END\ [A-Z\ ]*PRIVATE\ KEY-----|\Z)""",
    re.VERBOSE,
)

_USER_INFO = re.compile(r"(?<=://)[^/\s@'\"]+(?=@)")
_QUERY = re.compile(
    r"(?i)(?<=[?&;])((?:x-(?:amz|goog)-[a-z-]+|sig|signature|token|access_token|key|api_?key|password|secret|credential|auth)=)"
    r"[^&#\s'\"]+"
)


def redact_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text without what looks like a secret.

    Left out are the given values, values of environment variables whose names say that they are secret, keys of services
    by their form, and in URIs user, password and signature.

    Args:
        text: Whatever is about to be written.
        secrets: Further values to leave out; those under 8 characters stay.

    Example:
        >>> redact_text("https://me:hunter2@host/x?sig=abc&part=1")
        'https://[redacted]@host/x?sig=[redacted]&part=1'
    """
    return _redact(text, _longest_first({*secrets, *environment_secrets().values()}))


def redacted(value: Any) -> Any:
    """Return a parsed document without secrets: texts as `redact_text` leaves them, and none under a key that names one.

    Example:
        >>> redacted({"password": "hunter2", "max_tokens": 5, "source": ["s3://key:word@bucket"]})
        {'password': '[redacted]', 'max_tokens': 5, 'source': ['s3://[redacted]@bucket']}
    """
    # The environment is read once for a document, which may have thousands of texts.
    return _redacted(value, _longest_first(environment_secrets().values()))


def _redacted(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, str):
        return _redact(value, secrets)
    if isinstance(value, Mapping):
        return {
            _redacted(key, secrets): REDACTED
            if isinstance(each, str | bytes) and each and _names_secret(key)
            else _redacted(each, secrets)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_redacted(each, secrets) for each in value]
    return value


def _longest_first(secrets: Iterable[str]) -> list[str]:
    return sorted((each for each in secrets if len(each) >= SHORTEST_SECRET), key=len, reverse=True)


def _redact(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    text = _LOOKS_SECRET.sub(REDACTED, text)
    if "://" in text:
        text = _USER_INFO.sub(REDACTED, text)
    return _QUERY.sub(rf"\1{REDACTED}", text) if "=" in text else text


def _names_secret(name: Any) -> bool:
    text = str(name)
    return bool(_SECRET_NAME.search(text)) and not _COUNTS.search(text)


def environment_secrets() -> dict[str, str]:
    """Return the variables that are secrets; short values and paths, such as a socket's, are none."""
    return {
        name: value
        for name, value in os.environ.items()
        if _names_secret(name) and len(value) >= SHORTEST_SECRET and not value.startswith("/")
    }
