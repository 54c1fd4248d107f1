# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's snapshot history, made longer for one run and put back whatever happens.

The server forgets what was there minSnapshotHistoryWindowInSeconds (default 300) after it was overwritten. Raising the
parameter costs cache, so it is put back at the end; the value to put back is first noted in the state folder, so that
the next run puts it back when this one is killed.
"""

from __future__ import annotations

import contextlib
import os
import re
import typing as t

from ..core.journal import Journal
from ..core.state import StateDirectory
from .faults import named_faults

if t.TYPE_CHECKING:
    from .connection import Client

_PARAMETER = "minSnapshotHistoryWindowInSeconds"
_FOLDER = "mongodb"


def noted_history(state: StateDirectory, *, host: str) -> int | None:
    """The seconds that a killed run would have put back on *host*; None when nothing is left over."""
    document = state.read(_FOLDER, _note_name(host))
    seconds = document.get("seconds") if document is not None else None
    return seconds if isinstance(seconds, int) else None


def put_back_left_over(client: Client, *, host: str, state: StateDirectory, journal: Journal) -> None:
    """Undo what a killed run left, if there is something. Raises MongoNotAuthorised."""
    before = noted_history(state, host=host)
    if before is None:
        return
    _set(client, seconds=before)
    _forget(state, host=host)
    journal.warning(f"A run that was killed had left {_PARAMETER} of {host} raised; it is {before} again.")


@contextlib.contextmanager
def raised_history(
    client: Client, *, host: str, before: int, seconds: int, state: StateDirectory, journal: Journal
) -> t.Iterator[None]:
    """Let the server keep *seconds* of history inside the block; afterwards it is *before* again.

    Raises StateDirectoryUnusable, and MongoNotAuthorised when the user may not set parameters.
    """
    state.write(_FOLDER, _note_name(host), {"host": host, "seconds": before})
    try:
        _set(client, seconds=seconds)
    except BaseException:
        _forget(state, host=host)
        raise
    try:
        journal.info(f"{_PARAMETER} of {host} is {seconds} during the dump, {before} before and after.")
        yield
    finally:
        _set(client, seconds=before)
        _forget(state, host=host)


def _set(client: Client, *, seconds: int) -> None:
    with named_faults(f"Setting {_PARAMETER}", role="hostManager"):
        client.admin.command({"setParameter": 1, _PARAMETER: seconds})


def _note_name(host: str) -> str:
    return f"history-{re.sub('[^A-Za-z0-9.-]', '_', host)}.json"


def _forget(state: StateDirectory, *, host: str) -> None:
    os.unlink(os.path.join(state.folder(_FOLDER), _note_name(host)))
