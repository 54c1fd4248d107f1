# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the WAL that a running standby needs next is gone: proven by what servers and archive have, never by time.

A standby that once asked its primary had come to the end of its own disk and of its archive. So it needs the segment at
the end of what it has, and nothing else helps it. That is gone when the server to be followed has it no longer, though
later ones, and the archive has it neither, though later ones. Whatever can't be asked leaves it open.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import typing as t
from dataclasses import dataclass

from ..core.errors import LifeboatError
from ..core.host import Host
from .connection import PostgresConnection
from .names import parse_lsn
from .standby_folder import StandbyFolder
from .standby_state import StandbyState, read_state, received_position
from .standby_upstream import UpstreamLook
from .standby_ways import WalVerdict
from .wal_names import SEGMENT, format_lsn, parse_wal_name, segment_name
from .written_file import replace_file

_KEPT = "SELECT name FROM pg_catalog.pg_ls_waldir()"
_RESTORES_BY = "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'restore_command'"
_NOTE_SUFFIX = ".rebuilding"
#: A standby that is refused WAL looks for a moment as if it received, each time it tries.
_LOOKS, _PAUSE = 10, 0.5
#: What is found in such a moment.
_RECEIVES = "it receives, though what it needs next is gone where it is to come from"


class Archived(t.Protocol):
    """The names of all segments of one cluster that an archive has. Raises why that is not known for certain."""

    def __call__(self, system_identifier: str) -> t.Collection[str]:
        """The names."""


@dataclass(frozen=True)
class StandbyAsked:
    """The standby at one moment. *restores_by* is the ``restore_command`` that it runs with, empty without."""

    state: StandbyState
    restores_by: str = ""


@dataclass(frozen=True)
class Archives:
    """The archive that the standby is to get WAL from. *command* is its ``restore_command``, empty without an archive.

    *names* tells the segments in it, and is asked only where it matters; None when nobody can look.
    """

    command: str = ""
    names: t.Callable[[], t.Collection[str]] | None = None


def look_for_wal(
    standby: PostgresConnection,
    primary: PostgresConnection,
    look: UpstreamLook,
    *,
    command: str,
    archived: Archived | None,
    host: Host,
) -> WalVerdict:
    """Ask the standby, the server to be followed and the archive; what can't be asked proves nothing. Changes nothing.

    *command* is the ``restore_command`` that the standby is to have, empty without an archive.
    """
    names = None if archived is None else functools.partial(archived, look.state.system_identifier)
    archives = Archives(command=command, names=names)
    verdict = _open(_RECEIVES)
    for number in range(_LOOKS):
        host.clock.sleep(_PAUSE if number else 0)
        try:
            before = _ask(standby, host=host)
            with primary.connect(runner=host.runner) as session:
                kept = [str(name) for (name,) in session.rows(_KEPT)]
            after = _ask(standby, host=host)
            verdict = judge(before, after, look, kept=kept, archives=archives)
        except LifeboatError as error:
            return _open(error.message.rstrip("."))
        if verdict.why != _RECEIVES:
            break
    return verdict


def judge(
    before: StandbyAsked,
    after: StandbyAsked,
    look: UpstreamLook,
    *,
    kept: t.Collection[str],
    archives: Archives,
) -> WalVerdict:
    """What follows from the answers: *kept* is asked between *before* and *after*. Pure but for asking the archive.

    Raises what that does.
    """
    state, size = before.state, look.segment_size
    position = received_position(state)
    doubt = _doubt_of_standby(before, after, look, position=position)
    if doubt:
        return _open(doubt)
    number = position // size
    timeline = look.upstream.history.file_timeline(number, segment_size=size)
    name = segment_name(timeline=timeline, number=number, segment_size=size)
    # What the archive brought may end in a record that goes on in the next segment.
    behind_stream = parse_lsn(state.replayed or "0/0") > parse_lsn(state.received or "0/0")
    needed = {number, number + 1} if behind_stream else {number}
    if max(needed) >= parse_lsn(look.upstream.written) // size:
        return _open(f"{look.state.server} is still in {name}, which it needs next")
    there = _numbers(kept, size)
    later = [one for one in there if one > max(needed)]
    if needed & there or not later:
        return _open(f"{look.state.server} has not removed {name}, which it needs next")
    if state.receiving or after.state.receiving:
        return _open(_RECEIVES)
    doubt, words = _of_archive(before, archives, needed=needed, timeline=timeline, name=name, size=size)
    if doubt:
        return _open(doubt)
    oldest = segment_name(timeline=look.upstream.timeline, number=min(later), segment_size=size)
    lost = f", the slot {look.slot.name} is lost" if look.slot.lost else ""
    return WalVerdict(
        gone=True,
        position=format_lsn(position),
        why=f"the WAL that it needs next, {name} from {format_lsn(position)} on, is gone: {look.state.server} has none "
        f"before {oldest}{lost}, {words}",
    )


def note_rebuilding(folder: str, verdict: WalVerdict) -> None:
    """Note beside the folder that its WAL is gone, before its server is stopped: stopped, it could not be asked."""
    text = json.dumps({"position": verdict.position, "why": verdict.why})
    replace_file(folder + _NOTE_SUFFIX, text + "\n", mode=0o600)


def noted_rebuilding(folder: StandbyFolder) -> WalVerdict | None:
    """What was noted of the folder; None for nothing, and when it has got WAL since then."""
    try:
        with open(folder.path + _NOTE_SUFFIX, encoding="utf-8") as file:
            found = json.load(file)
        position, why = str(found["position"]), str(found["why"])
        if parse_lsn(folder.end) > parse_lsn(position):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return WalVerdict(gone=True, why=why, position=position)


def forget_rebuilding(folder: str) -> None:
    """The folder is another one by now, or its server goes on."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(folder + _NOTE_SUFFIX)


def _ask(standby: PostgresConnection, *, host: Host) -> StandbyAsked:
    with standby.connect(runner=host.runner) as session:
        return StandbyAsked(state=read_state(session), restores_by=str(session.value(_RESTORES_BY) or ""))


def _doubt_of_standby(before: StandbyAsked, after: StandbyAsked, look: UpstreamLook, *, position: int) -> str:
    """Why the standby itself may still come on; empty when it can't by what it has."""
    state, history = before.state, look.upstream.history
    if not state.in_recovery or state.system_identifier != look.upstream.system_identifier:
        return f"{state.server} is another server"
    if state.received is None:
        return "it has not asked its primary for WAL since it started"
    now = after.state
    if received_position(now) != position or now.replayed != state.replayed:
        return "it still comes on"
    if not history.passes(state.timeline, position):
        return f"it has WAL up to {format_lsn(position)} on timeline {state.timeline}, which {look.state.server} lacks"
    return ""


def _of_archive(
    asked: StandbyAsked, archives: Archives, *, needed: set[int], timeline: int, name: str, size: int
) -> tuple[str, str]:
    """Why the archive may still have it, or else what it has, in words."""
    if asked.restores_by not in ("", archives.command):
        return "it has a restore_command of somebody else's, and nobody knows what that brings", ""
    if not archives.command:
        return "", "and it has no archive"
    if archives.names is None:
        return "nobody said where its archive is, so it could not be looked into", ""
    names = archives.names()
    if needed & _numbers(names, size):
        return f"the archive has {name}, which it needs next", ""
    later = [one for one in _numbers(names, size, timeline=timeline) if one > max(needed)]
    if not later:
        return f"the archive has nothing behind {name}, so that may still come there", ""
    first = segment_name(timeline=timeline, number=min(later), segment_size=size)
    return "", f"and the archive lacks it, though it has {first}"


def _numbers(names: t.Iterable[str], size: int, *, timeline: int | None = None) -> set[int]:
    """The numbers of the whole segments among *names*; with *timeline* only of those on it."""
    found = (parse_wal_name(name) for name in names)
    return {
        one.number(size)
        for one in found
        if one is not None and one.what == SEGMENT and timeline in (None, one.timeline)
    }


def _open(why: str) -> WalVerdict:
    return WalVerdict(gone=False, why=why)
