"""Where requests go and as whom: the environment's settings, checked, and the client made of them."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nexa_data.errors import ConfigError
from nexa_data.optional import needed

from nexa_distill.request import clean_endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openai import AsyncOpenAI

__all__ = ["Endpoint", "environment"]

_DEFAULT_BASE_URL = "https://api.openai.com/v1"
_NO_KEY = "no-key"


def environment(env_file: Path | None = None) -> dict[str, str]:
    """Return the process's environment, with the settings of a `.env` file where the environment has none.

    A `.env` file is read only where it is named: one that lies in a cloned folder could send the key elsewhere.

    Args:
        env_file: The file.

    Raises:
        ConfigError: It can't be read.
    """
    if env_file is None:
        return dict(os.environ)
    from dotenv import dotenv_values

    path = Path(env_file)
    if not path.is_file():
        raise ConfigError(f"there is no env file {path.absolute()}", remedy="check --env-file")
    try:
        named = dotenv_values(path, interpolate=False)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"{path} can't be read: {error}", remedy="write NAME=value lines in UTF-8"
        ) from error
    return {**{name: value for name, value in named.items() if value is not None}, **os.environ}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible endpoint.

    Args:
        base_url: Its base URL.
        key: The API key; never shown.
        organization: The organisation that pays, if one is named.
        project: The project, if one is named.
    """

    base_url: str = field(repr=False)
    key: str | None = field(repr=False)
    organization: str | None = None
    project: str | None = None

    @classmethod
    def of(cls, env: Mapping[str, str], *, allow_http: bool = False) -> Endpoint:
        """Return what `OPENAI_BASE_URL`, `OPENAI_API_KEY`, `OPENAI_ORG_ID` and `OPENAI_PROJECT_ID` say.

        Args:
            env: The environment.
            allow_http: Allow plain http to another machine.

        Raises:
            ConfigError: The URL is none, or would send key and prompts unencrypted.
        """
        url = _setting(env, "OPENAI_BASE_URL") or _DEFAULT_BASE_URL
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(
                f"OPENAI_BASE_URL {clean_endpoint(url)!r} is no web address",
                remedy="for example http://127.0.0.1:8000/v1",
            )
        if parts.username or parts.password:
            raise ConfigError(
                f"OPENAI_BASE_URL {clean_endpoint(url)} holds a user or password (not shown), which isn't how a teacher is given a key",
                remedy="take it out of the address, and export OPENAI_API_KEY",
            )
        if parts.scheme == "http" and not _is_loopback(url) and not allow_http:
            raise ConfigError(
                f"OPENAI_BASE_URL {clean_endpoint(url)} is plain http to another machine: key and prompts would travel "
                "unencrypted",
                remedy="use https, or allow it with --allow-http (allow_http: true in the manifest)",
            )
        return cls(
            url,
            _setting(env, "OPENAI_API_KEY"),
            _setting(env, "OPENAI_ORG_ID"),
            _setting(env, "OPENAI_PROJECT_ID"),
        )

    @property
    def shown(self) -> str:
        """The base URL without credentials."""
        return clean_endpoint(self.base_url)

    def check_key(self) -> None:
        """Make sure that there is a key where one is needed.

        Raises:
            ConfigError: There is none, and the endpoint isn't on this machine.
        """
        if self.key is None and not _is_loopback(self.base_url):
            raise ConfigError(
                f"OPENAI_API_KEY is not set, and {self.shown} is not on this machine",
                remedy="export OPENAI_API_KEY, or point OPENAI_BASE_URL to a local server",
            )

    def client(self) -> AsyncOpenAI:
        """Return a client without retries.

        Raises:
            ConfigError: There is no key.
        """
        with needed("openai", "teacher collection"):
            import openai

        self.check_key()
        return openai.AsyncOpenAI(
            api_key=self.key or _NO_KEY,
            base_url=self.base_url,
            organization=self.organization,
            project=self.project,
            max_retries=0,
        )


def _setting(env: Mapping[str, str], name: str) -> str | None:
    return env.get(name, "").strip() or None


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
