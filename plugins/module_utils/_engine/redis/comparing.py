# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a server that loaded a backup holds what was noted when the backup was taken. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import RestoreIncomplete
from ..recovery.questions import FAILED, PASSED, Check
from .info import Info, Keyspace
from .noted import Noted

_NOTHING: t.Mapping[str, int] = {"keys": 0, "expires": 0}


@dataclass(frozen=True)
class LoadFigures:
    """What a server says after loading. *from_rdb* counts the keys that its RDB held, those that it dropped because
    they had expired among them; None before Redis 7.0. Later writes of clients don't change it.
    """

    keyspace: Keyspace
    from_rdb: int | None

    @classmethod
    def of(cls, info: Info) -> LoadFigures:
        """From one INFO reply of the default sections."""
        loaded = info.number("rdb_last_load_keys_loaded", -1)
        expired = info.number("rdb_last_load_keys_expired", -1)
        return cls(keyspace=info.keyspace, from_rdb=None if min(loaded, expired) < 0 else loaded + expired)

    @property
    def keys(self) -> int:
        """Keys in all databases."""
        return sum(counts["keys"] for counts in self.keyspace.values())


def compare_counts(noted: Noted, found: LoadFigures, *, kind: str) -> t.Iterator[Check]:
    """Keys of each database against those noted.

    Keys with a time to live may have expired since. Counts that were not taken at the very moment may differ by a
    twentieth and ten keys.
    """
    if kind == "rdb" and found.from_rdb is not None:
        low, high = _allowed(noted.keys, expires=0, exact=noted.exact)
        yield _check("keys in the RDB", found.from_rdb, low=low, high=high, noted=noted.keys)
    for name in sorted(set(noted.keyspace) | set(found.keyspace), key=lambda name: int(name[2:])):
        wanted = noted.keyspace.get(name, _NOTHING)
        low, high = _allowed(wanted["keys"], expires=wanted["expires"], exact=noted.exact)
        yield _check(
            f"keys in {name}", found.keyspace.get(name, _NOTHING)["keys"], low=low, high=high, noted=wanted["keys"]
        )


def require_loaded(noted: Noted, found: LoadFigures, *, kind: str) -> None:
    """Raise RestoreIncomplete when a server that clients may already write to did not load the whole backup."""
    if kind == "rdb" and found.from_rdb is not None:
        low, high = _allowed(noted.keys, expires=0, exact=noted.exact)
        if not low <= found.from_rdb <= high:
            raise _incomplete("the RDB", found.from_rdb, low=low, noted=noted.keys)
        return
    for name, counts in noted.keyspace.items():
        low, _high = _allowed(counts["keys"], expires=counts["expires"], exact=noted.exact)
        keys = found.keyspace.get(name, _NOTHING)["keys"]
        if keys < low:
            raise _incomplete(name, keys, low=low, noted=counts["keys"])


def _allowed(keys: int, *, expires: int, exact: bool) -> tuple[int, int]:
    slack = 0 if exact else keys // 20 + 10
    return max(keys - expires - slack, 0), keys + slack


def _check(name: str, found: int, *, low: int, high: int, noted: int) -> Check:
    allowed = str(noted) if low == high else f"{low} to {high} ({noted} were noted)"
    is_right = low <= found <= high
    return Check(
        name=name,
        state=PASSED if is_right else FAILED,
        message=f"{name}: {found}" + ("" if is_right else f", and it should be {allowed}"),
        expected={"min": low, "max": high},
        found=found,
    )


def _incomplete(what: str, found: int, *, low: int, noted: int) -> RestoreIncomplete:
    return RestoreIncomplete(
        f"The server loaded {found} keys of {what}; {noted} were noted when the backup was taken, at least {low} must "
        "be there.",
        hint="Look at the server's log for what it said while it loaded; then restore another backup.",
        details={"found": found, "noted": noted, "at_least": low},
    )
