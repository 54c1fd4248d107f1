# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What WAL-G says about removing, read: what it would take, what is left of a backup, why it may not. Pure.

All of it was recorded from 3.0.9. A dry run prints on standard error, one line for each object; names are relative to
the folder of the backups for ``delete target``, and to the storage for ``delete garbage``.
"""

from __future__ import annotations

import json
import re

from ..core.errors import WalgAnswerUnreadable
from .wal_names import HISTORY, WalName, parse_wal_name

BACKUPS, WAL = "basebackups_005/", "wal_005/"
SENTINEL = "_backup_stop_sentinel.json"
_MARKED = re.compile(r"^.*Object marked for deletion: (?P<name>\S+) storage=\S+\s*$")
_WOULD = re.compile(r"Dry run: objects would be deleted count=(\d+)")
_NOTHING = "No objects matched the deletion criteria"
# Of file systems and of S3 (also for what is locked: "AccessDenied ... object is WORM protected").
_DENIALS = ("permission denied", "operation not permitted", "read-only file system", "accessdenied", "status code: 403")


def parse_marked(said: str) -> tuple[str, ...]:
    """The objects that a dry run of ``delete`` names. Raises WalgAnswerUnreadable when it can't be sure of all."""
    found = tuple(match.group("name") for match in map(_MARKED.match, said.splitlines()) if match is not None)
    counted = _WOULD.search(said)
    if counted is None and _NOTHING in said and not found:
        return ()
    if counted is None or int(counted.group(1)) != len(found):
        raise WalgAnswerUnreadable(
            f"What wal-g delete would remove can't be told: it names {len(found)} objects and counts "
            f"{counted.group(1) if counted else 'none'}.",
            hint="Run it by hand without --confirm and look; another version of WAL-G may speak otherwise.",
        )
    return found


def parse_names(text: str) -> frozenset[str]:
    """The names in ``backup-list --json``. Raises WalgAnswerUnreadable."""
    try:
        return frozenset(str(row["backup_name"]) for row in json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise WalgAnswerUnreadable(
            f"What WAL-G said (backup-list) can't be understood: {error!r}.",
            hint="Run it by hand and look; another version of WAL-G may speak otherwise (3.0.9 was tried).",
        ) from error


def parse_folders(text: str) -> frozenset[str]:
    """The folders in what ``st ls`` prints."""
    return frozenset(line.split()[-1].strip("/") for line in text.splitlines() if line.startswith("dir "))


def count_objects(text: str) -> int:
    """How many objects ``st ls -r`` prints."""
    return sum(line.startswith("obj ") for line in text.splitlines())


def is_denied(said: str) -> bool:
    """Whether a failure is one of permissions."""
    lowered = said.lower()
    return any(word in lowered for word in _DENIALS)


def foreign_objects(marked: tuple[str, ...], *, names: frozenset[str]) -> tuple[str, ...]:
    """Those of the marked objects that belong to none of the backups *names*."""
    return tuple(one for one in marked if _backup_of(one) not in names)


def needed_log(marked: tuple[str, ...], *, log_begins: frozenset[str]) -> tuple[str, ...]:
    """Those of the marked objects that a recovery from one of the backups reads which begin with these segments.

    That is every segment from there on, of the same timeline or of one that came later. What is no file of a log is
    always among them, and everything when it can't be told where one of the backups begins.
    """
    parsed = [parse_wal_name(name) for name in log_begins]
    begins = [name for name in parsed if name is not None]

    def is_needed(one: str) -> bool:
        wal = _wal_name(one)
        return (
            wal is None
            or len(begins) < len(parsed)
            or any(
                wal.timeline >= begin.timeline
                and (wal.what == HISTORY or (wal.log, wal.segment) >= (begin.log, begin.segment))
                for begin in begins
            )
        )

    return tuple(filter(is_needed, marked))


def _wal_name(stored: str) -> WalName | None:
    """The file of the log that is stored under this name: ``wal_005/000000010000000000000001.lz4``."""
    if not stored.startswith(WAL):
        return None
    # With the ending of the codec, or with none.
    name = stored[len(WAL) :]
    return parse_wal_name(name) or parse_wal_name(name.rpartition(".")[0])


def _backup_of(stored: str) -> str:
    name = stored.removeprefix(BACKUPS)
    folder, slash, _rest = name.partition("/")
    return folder if slash or not name.endswith(SENTINEL) else name[: -len(SENTINEL)]
