# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One file of a WAL archive for a standby that asks for it, and the next ones beside it before it asks."""

from __future__ import annotations

import contextlib
import os
import threading
import typing as t

from ..catalog.layout import Series
from ..core.clock import Clock
from ..core.errors import LifeboatError, RequestInvalid
from ..core.host import Host
from ..core.secrets import Secret
from ..postgresql.base_label import ControlFile
from ..postgresql.wal_names import SEGMENT, parse_wal_name
from ..postgresql.wal_restore_script import HOPELESS, MISSING, PROCESS_NAME, WANT
from ..recovery.recovery_planner import RecoveryPlan
from ..recovery.recovery_target import recovery_target_from
from ..recovery.segment_reader import StoredSegmentReader
from ..storage.base import Storage
from ..streams.reader import read_streams
from ..streams.stream import StoredSegment

WAL = "wal"
#: So many segments are brought at once: reading what is stored takes longer than bringing one.
AHEAD = 8
_TURN_SECONDS = 0.05


def lineage_here() -> str:
    """The cluster of the folder that we are in: PostgreSQL runs ``restore_command`` in its data folder.

    Raises RequestInvalid.
    """
    try:
        with open(os.path.join("global", "pg_control"), "rb") as file:
            found = ControlFile.parse(file.read(64))
    except OSError:
        found = None
    if found is None:
        raise RequestInvalid(
            "Which cluster's WAL is wanted can't be told: this is no data folder of PostgreSQL.",
            hint="Run it in the data folder, or name the system identifier: --lineage",
        )
    return found.system_identifier


def fetch_wal(
    name: str,
    path: str,
    *,
    series: Series,
    lineage: str,
    storages: t.Mapping[str, Storage],
    identity: Secret,
    host: Host,
    ahead: int = AHEAD,
) -> bool:
    """Write the file *name* to *path*; False when it is certainly stored nowhere.

    Segments that follow it are put beside *path* under their own names, as far as they are stored; older ones of ours
    that nobody took are removed. Raises RequestInvalid for a name that no archive has, and why it is not known whether
    the file is stored.
    """
    wanted = parse_wal_name(name)
    if wanted is None:
        raise RequestInvalid(f"{name!r} is no name of a file in a WAL archive.")
    streams = read_streams(storages, series, lineage=lineage, clock=host.clock)
    stored = {one.segment.name: one for stream in streams for one in stream.segments}
    if name not in stored:
        problems = [problem for stream in streams for problem in stream.problems]
        if problems:
            raise problems[0]
        return False
    reader = StoredSegmentReader(
        plan=_plan(lineage, clock=host.clock), series=series, storages=storages, host=host, identity=identity
    )
    folder = os.path.dirname(os.path.abspath(path))
    _bring(reader, stored[name], path)
    if wanted.what == SEGMENT:
        _bring_ahead(name, folder, stored, reader, ahead=ahead)
    return True


def serve_wal(cache: str, *, fetch: t.Callable[[str, str], bool], host: Host, stop: threading.Event) -> None:
    """Answer what PostgreSQL's script asks for in *cache*, until *stop* is set: see ``wal_restore_script.py``.

    So the server's account needs no key of the repositories. *fetch* gets a name and a path, as :func:`fetch_wal`.
    """
    os.makedirs(cache, mode=0o700, exist_ok=True)
    _note(cache, PROCESS_NAME, f"{os.getpid()}\n")
    try:
        while not stop.is_set():
            asked = sorted(name[len(WANT) :] for name in os.listdir(cache) if name.startswith(WANT))
            for name in asked:
                _answer(cache, name, fetch=fetch, host=host)
            if not asked:
                stop.wait(_TURN_SECONDS)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(cache, PROCESS_NAME))


def _answer(cache: str, name: str, *, fetch: t.Callable[[str, str], bool], host: Host) -> None:
    path = os.path.join(cache, name)
    answer, words = MISSING, ""
    try:
        if os.path.lexists(path) or fetch(name, path):
            answer = ""
    except LifeboatError as error:
        # Whoever asks is told at once and asks again later; its primary may have it meanwhile.
        answer, words = HOPELESS, " ".join(error.message.split())
        host.journal.warning(f"{name} could not be fetched: {words} [{error.code}]")
    # The question goes before the answer comes: a question beside an answer means that it is wanted once more.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(cache, WANT + name))
    if answer:
        _note(cache, answer + name, f"{words}\n" if words else "")


def _note(cache: str, name: str, text: str) -> None:
    temporary = os.path.join(cache, f".tmp-note-{name}")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(temporary, 0o644)
    os.replace(temporary, os.path.join(cache, name))


def _bring(reader: StoredSegmentReader, segment: StoredSegment, path: str) -> None:
    """Whole, and the folder's owner's before it has its name: it is taken as soon as it has."""
    folder = os.path.dirname(os.path.abspath(path))
    temporary = os.path.join(folder, f".tmp-bring-{segment.segment.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    reader.fetch(segment, temporary)
    if os.geteuid() == 0:
        facts = os.stat(folder)
        os.chown(temporary, facts.st_uid, facts.st_gid)
    os.replace(temporary, path)


def _bring_ahead(
    name: str, folder: str, stored: t.Mapping[str, StoredSegment], reader: StoredSegmentReader, *, ahead: int
) -> None:
    """The next ones of the same timeline; that one can't be had is told when it is asked for."""
    later = sorted(one for one in stored if _is_later(one, than=name))[:ahead]
    for one in os.listdir(folder):
        parsed = parse_wal_name(one)
        if parsed is not None and parsed.what == SEGMENT and one != name and one not in later:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, one))
    for one in later:
        if not os.path.lexists(os.path.join(folder, one)):
            try:
                _bring(reader, stored[one], os.path.join(folder, one))
            except LifeboatError:
                return


def _is_later(name: str, *, than: str) -> bool:
    parsed = parse_wal_name(name)
    return parsed is not None and parsed.what == SEGMENT and name[:8] == than[:8] and name > than


def _plan(lineage: str, *, clock: Clock) -> RecoveryPlan:
    target = recovery_target_from({"latest": True}, now=clock.now())
    return RecoveryPlan(target=target, base=None, lineage=lineage, segments=(), why=(), facts={}, warnings=())
