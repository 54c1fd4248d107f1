# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the description of a repository to its storage.

To add a kind of storage: write its module beside ``local.py``, run the conformance suite on it, and name it in the
table below. The table is fixed: dynamic imports are not shipped to targets.
"""

from __future__ import annotations

import difflib
import os
import re
import typing as t

from ..core.clock import Clock
from ..core.errors import RequestInvalid
from .base import Storage
from .local import LocalStorage
from .retrying import RetryingStorage


class _Factory(t.NamedTuple):
    keys: frozenset[str]
    build: t.Callable[[t.Mapping[str, t.Any], str, t.Mapping[str, str]], Storage]
    attempts: int


def open_storage(
    description: t.Mapping[str, t.Any],
    *,
    name: str,
    clock: Clock,
    environment: t.Mapping[str, str] | None = None,
) -> Storage:
    """The storage of the repository called *name*. Nothing is connected to or looked at yet.

    ``{type: file, path}``, with ``create``, ``folder_mode`` and ``file_mode`` (octal text, "0700").

    *environment* (default: that of the process) is where credentials by environment are looked up. Calls that fail in
    passing are tried again. Raises RequestInvalid for an unknown type, an unknown key or a value of the wrong form.
    """
    kind = description.get("type")
    factory = _FACTORIES.get(kind) if isinstance(kind, str) else None
    if factory is None:
        raise RequestInvalid(
            f"The repository {name} has the type {kind!r}, which does not exist."
            if kind is not None
            else f"The repository {name} has no type.",
            hint=f"Write type: {' or type: '.join(sorted(_FACTORIES))}",
            details={"repository": name, "allowed": sorted(_FACTORIES)},
        )
    _refuse_unknown(description, allowed=factory.keys | {"type"}, name=name)
    storage = factory.build(description, name, os.environ if environment is None else environment)
    return RetryingStorage(storage=storage, clock=clock, attempts=factory.attempts)


def _open_local(description: t.Mapping[str, t.Any], name: str, _environment: t.Mapping[str, str]) -> Storage:
    path = _text(description, "path", name=name, required=True)
    if not os.path.isabs(path) or os.path.normpath(path) == "/":
        raise RequestInvalid(
            f"The repository {name} has the path {path!r}, which is not the absolute path of a folder below /.",
            hint="Write for example path: /var/backups/lifeboat",
        )
    return LocalStorage(
        path=path,
        create=_flag(description, "create", name=name, default=False),
        folder_mode=_mode(description, "folder_mode", name=name, default=0o700),
        file_mode=_mode(description, "file_mode", name=name, default=0o600),
    )


def _refuse_unknown(description: t.Mapping[str, t.Any], *, allowed: t.AbstractSet[str], name: str) -> None:
    for key in description:
        if key not in allowed:
            near = difflib.get_close_matches(str(key), allowed, n=1)
            raise RequestInvalid(
                f"The repository {name} has the unknown key {key!r}.",
                hint=f"Did you mean {near[0]}?" if near else f"Allowed are: {', '.join(sorted(allowed))}.",
                details={"repository": name, "allowed": sorted(allowed)},
            )


def _text(description: t.Mapping[str, t.Any], key: str, *, name: str, required: bool = False, default: str = "") -> str:
    value = description.get(key)
    if value is None and not required:
        return default
    if not isinstance(value, str) or (required and not value):
        raise RequestInvalid(f"The repository {name} needs a text for {key}; it has {value!r}.")
    return value


def _flag(description: t.Mapping[str, t.Any], key: str, *, name: str, default: bool) -> bool:
    value = description.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise RequestInvalid(f"The repository {name} needs true or false for {key}; it has {value!r}.")
    return value


def _mode(description: t.Mapping[str, t.Any], key: str, *, name: str, default: int) -> int:
    value = description.get(key)
    if value is None:
        return default
    # A number is refused: YAML reads 0700 as octal or as decimal, depending on its version.
    if not isinstance(value, str) or not re.fullmatch(r"0?[0-7]{3}", value):
        raise RequestInvalid(
            f"The repository {name} needs three octal digits in quotes for {key}; it has {value!r}.",
            hint=f'Write {key}: "{default:04o}"',
        )
    return int(value, 8)


_FACTORIES: t.Mapping[str, _Factory] = {
    "file": _Factory(keys=frozenset({"path", "create", "folder_mode", "file_mode"}), build=_open_local, attempts=4),
}
