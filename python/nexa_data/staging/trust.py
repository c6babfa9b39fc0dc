"""Whose files and folders count: what somebody else can change proves nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from nexa_data.errors import StagingError

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["refuse_open_ancestors", "trusted_users", "who_may_change"]

_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def trusted_users(configured: Collection[int]) -> frozenset[int]:
    """Return the user ids whose files count: this process's and the configured ones."""
    return frozenset({os.geteuid(), *configured})


def who_may_change(folder: Path, trusted: Collection[int]) -> str | None:
    """Return why `folder` can't be relied upon: whose it is, or who may write it; None if it can."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return "it is no folder"
    if found.st_uid not in trusted:
        return f"it belongs to uid {found.st_uid}"
    if found.st_mode & _OTHERS:
        return f"others may write it (mode {stat.S_IMODE(found.st_mode):o})"
    return None


def refuse_open_ancestors(destination: Path, trusted: Collection[int]) -> None:
    """Refuse, as root, to write where a user could put a link in the way.

    Raises:
        StagingError: A folder above the destination belongs to somebody who isn't trusted, or others may write it
            and it isn't sticky.
    """
    if os.geteuid() != 0:
        return
    for folder in Path(os.path.realpath(destination)).parents:
        try:
            found = folder.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if found.st_uid not in {0, *trusted}:
            raise StagingError(
                f"{destination}: its ancestor {folder} belongs to uid {found.st_uid}, who could redirect what root writes",
                remedy=f"trust that user by --trust-uid {found.st_uid} (trusted_uids), or name another folder",
            )
        if found.st_mode & _OTHERS and not found.st_mode & stat.S_ISVTX:
            raise StagingError(
                f"{destination}: its ancestor {folder} may be written by others (mode {stat.S_IMODE(found.st_mode):o})"
                ", who could redirect what root writes",
                remedy="take that right away or set the sticky bit, or name another folder (--trust-uid is for owners)",
            )
