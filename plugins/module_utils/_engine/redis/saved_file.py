# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that a BGSAVE left: opened once, and checked before anybody relies on it."""

from __future__ import annotations

import os

from ..core.errors import RdbInvalid, RedisFilesUnreachable
from .bgsave import Save
from .facts import ServerFacts
from .local_files import DataFolder, FileIdentity, unreadable
from .rdb import RdbFacts, check_descriptor

_DEFAULT_NAME = "dump.rdb"


def rdb_path(facts: ServerFacts, folder: DataFolder) -> str:
    """Where the server writes its RDB."""
    return folder.join((facts.settings or {}).get("dbfilename", _DEFAULT_NAME))


def open_saved_file(*, path: str, before: FileIdentity | None, save: Save, proven: bool) -> tuple[int, RdbFacts]:
    """Open the file that *save* wrote, check it through that descriptor and return both; the position is at the begin.

    *before* is what lay there before the save. Where the folder is not *proven* to be the server's, the counts in the
    file must be those of the save. Whatever happens to the name afterwards, the descriptor keeps this very file.

    Raises RedisFilesUnreachable when the file is not the one that the server wrote, RdbInvalid when it is damaged; then
    nothing stays open.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        if FileIdentity.of(os.fstat(descriptor)) == before:
            raise _not_the_servers(path, "it did not change when the server saved")
        facts = check_descriptor(descriptor)
        _refuse_old_file(path, facts, save=save)
        if not proven:
            _refuse_other_counts(path, facts, save=save)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, facts


def _refuse_old_file(path: str, facts: RdbFacts, *, save: Save) -> None:
    created = facts.head.created
    if created is None:
        raise RdbInvalid(f"The RDB {path!r} doesn't say when it was made (no ctime field).", details={"path": path})
    # The server stamps the file by time(), which on Linux may lag some milliseconds behind the clock of INFO: right
    # after the turn of a second it still says the one before.
    if created < save.started - 1:
        raise _not_the_servers(path, f"it was begun at {created} and our save at {save.started}")


def _refuse_other_counts(path: str, facts: RdbFacts, *, save: Save) -> None:
    first = facts.head.first_database
    found = {} if first is None else {"keys": first["keys"], "expires": first["expires"]}
    database = min((int(name[2:]) for name in save.keyspace), default=0) if first is None else first["index"]
    if found != save.keyspace.get(f"db{database}", {}):
        raise _not_the_servers(path, "it holds other numbers of keys than the server")


def _not_the_servers(path: str, why: str) -> RedisFilesUnreachable:
    return RedisFilesUnreachable(
        f"{path!r} on this host is not the server's file: {why}.",
        hint="The server may run in a container or behind a forwarded port, or share its folder with another: "
        "use method: sync.",
        details={"path": path},
    )
