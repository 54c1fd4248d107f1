# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a folder becomes a standby, and what must not be: decided from what is there, and the history. Pure.

The ways, the cheapest one that fits is taken:

``configure``: it runs as a standby of the cluster; only settings are compared. ``start``: the same, stopped.
``follow``: a former primary that has nothing which its successor lacks. ``rewind``: one that has; pg_rewind takes that
away. ``rebuild``: what is there is moved aside, and a new copy is made; of a running standby only where that was asked
for and the WAL that it needs is proven to be gone. ``create``: nothing is there.
"""

from __future__ import annotations

from dataclasses import dataclass

from .base_target import ABSENT, EMPTY
from .names import parse_lsn
from .standby_folder import IN_RECOVERY, SHUT_DOWN, SHUT_DOWN_IN_RECOVERY, StandbyFolder
from .timeline_history import TimelineHistory
from .wal_names import format_lsn

CREATE, CONFIGURE, START, FOLLOW, REWIND, REBUILD, REFUSE = (
    "create", "configure", "start", "follow", "rewind", "rebuild", "refuse",
)  # fmt: skip
#: What may be done with a folder that can't just follow: nothing, only the first, only the second, the first that can.
NEVER, AUTO = "never", "auto"
REJOINS = (NEVER, AUTO, REWIND, REBUILD)


@dataclass(frozen=True)
class Upstream:
    """The server to be followed, as it says itself. *written* is how far it is."""

    system_identifier: str
    timeline: int
    written: str
    history: TimelineHistory


@dataclass(frozen=True)
class Way:
    """*name* is one of the ways, or ``refuse``; *why* is the sentence for people.

    *left* is the position behind which the folder's WAL is nobody else's, None when it has none that is.
    """

    name: str
    why: str
    left: str | None = None
    hint: str = ""


@dataclass(frozen=True)
class WalVerdict:
    """Whether the WAL that a standby needs next is *gone* for certain, and the sentence about it.

    *position* is where its own WAL ends, empty when it is not gone.
    """

    gone: bool
    why: str
    position: str = ""


def choose_way(
    folder: StandbyFolder,
    upstream: Upstream,
    *,
    rejoin: str,
    half_rewound: bool = False,
    wal: WalVerdict | None = None,
) -> Way:
    """What becomes of the folder. *half_rewound*: a pg_rewind died in it.

    *wal* is about the WAL that a running standby needs, or what was noted of one that was stopped to be rebuilt.
    """
    if folder.found in (ABSENT, EMPTY):
        return Way(CREATE, f"{folder.path} is {folder.found}")
    strange = _strange(folder, upstream)
    if strange is not None:
        return strange
    if folder.running:
        return _running(folder, rejoin=rejoin, wal=wal)
    if half_rewound:
        return _replaced(folder, "a pg_rewind ended in the middle of its work", rejoin=rejoin)
    if wal is not None and wal.gone and folder.was_standby and rejoin in (AUTO, REBUILD):
        return Way(REBUILD, wal.why)
    return _restored(folder) if folder.restored else _stopped(folder, upstream, rejoin=rejoin)


def crashed(folder: StandbyFolder) -> bool:
    """Whether the folder's server has to recover before it is known where its WAL ends."""
    return folder.is_cluster and not folder.restored and folder.state not in (SHUT_DOWN, SHUT_DOWN_IN_RECOVERY)


def _strange(folder: StandbyFolder, upstream: Upstream) -> Way | None:
    if not folder.is_cluster:
        return _refused(f"{folder.path} holds something that is no PostgreSQL cluster", f"Run: ls -la {folder.path}")
    if folder.system_identifier != upstream.system_identifier:
        return _refused(
            f"{folder.path} belongs to the cluster {folder.system_identifier}, and the primary is the cluster "
            f"{upstream.system_identifier}",
            "Name another folder (data_directory), or look whether the primary's address is right.",
        )
    return None


def _restored(folder: StandbyFolder) -> Way:
    if folder.signal:
        return Way(START, "a base backup was unpacked there and has not been started yet")
    return _refused(
        f"{folder.path} holds a base backup that nobody has marked as a standby's",
        f"If it is to be one: touch {folder.path}/standby.signal",
    )


def _stopped(folder: StandbyFolder, upstream: Upstream, *, rejoin: str) -> Way:
    left = _leaves_at(folder, upstream)
    if left is not None:
        return _apart(folder, f"it left its successor's way at {left}", left=left, rejoin=rejoin)
    if folder.was_standby:
        return Way(START, "it is a standby of the cluster, and stopped")
    if folder.timeline == upstream.timeline:
        return _refused(
            f"{folder.path} was a primary on timeline {folder.timeline}, and so is the server to be followed: nobody "
            "was promoted in its place",
            "Look which of the two is the primary. To have this one replaced: stop it, and move its folder away.",
        )
    if folder.state == SHUT_DOWN:
        return Way(FOLLOW, "it was shut down in order, and its successor has all that it has")
    left = format_lsn(upstream.history.end_of(folder.timeline) or 0)
    return _apart(folder, "it did not end in order", left=left, rejoin=rejoin)


def _running(folder: StandbyFolder, *, rejoin: str, wal: WalVerdict | None) -> Way:
    if folder.state == IN_RECOVERY and folder.signal:
        return _running_standby(folder, rejoin=rejoin, wal=wal)
    return _refused(
        f"the server on {folder.path} runs as a primary ({folder.state})",
        "A primary is never made a standby while it runs. Fence it first: lifeboat.recovery.pg_fence, or "
        "playbooks/promote_standby.yml, which does.",
    )


def _running_standby(folder: StandbyFolder, *, rejoin: str, wal: WalVerdict | None) -> Way:
    runs = "it runs as a standby of the cluster"
    if wal is None:
        return Way(CONFIGURE, runs)
    if not wal.gone:
        asked = f"; it is not rebuilt, because its WAL is not proven to be gone: {wal.why}"
        return Way(CONFIGURE, runs + (asked if rejoin == REBUILD else ""))
    if rejoin == REBUILD:
        return Way(REBUILD, f"{runs}, and {wal.why}")
    # Only the word itself stops a server that runs.
    return _refused(
        f"the standby on {folder.path} runs and can never catch up: {wal.why}",
        "Set rejoin: rebuild; its server is stopped, and what is there is moved aside, not removed.",
    )


def _leaves_at(folder: StandbyFolder, upstream: Upstream) -> str | None:
    """Where the folder's WAL leaves the way of the upstream; None when it lies on it."""
    end = parse_lsn(folder.end)
    if folder.timeline == upstream.timeline:
        # A standby may have more than another standby that it is to follow: it waits.
        return None
    try:
        switch = upstream.history.end_of(folder.timeline)
        # A primary that was shut down ends with a record that begins at its end.
        if switch is None or end < switch or (end == switch and folder.state != SHUT_DOWN):
            return None
    except KeyError:
        # A timeline that the upstream has never been on; where they part, pg_rewind finds out itself.
        ancestors = [one for one in upstream.history.ancestors if one.timeline < folder.timeline]
        switch = ancestors[-1].switch if ancestors else 0
    return format_lsn(switch or 0)


def _apart(folder: StandbyFolder, what: str, *, left: str, rejoin: str) -> Way:
    if rejoin == NEVER:
        return Way(
            REFUSE,
            f"{folder.path} was a primary and can't just follow: {what}",
            left=left,
            hint="Set rejoin: auto (pg_rewind where it can, else rebuilt), rewind or rebuild.",
        )
    if rejoin == REBUILD:
        return Way(REBUILD, f"{what}, and rebuild was asked for", left=left)
    if not folder.rewindable:
        why = "it has neither data checksums nor wal_log_hints, so pg_rewind can't be used"
        return _replaced(folder, f"{what}; {why}", rejoin=rejoin, left=left)
    return Way(REWIND, what, left=left)


def _replaced(folder: StandbyFolder, why: str, *, rejoin: str, left: str | None = None) -> Way:
    if rejoin in (AUTO, REBUILD):
        return Way(REBUILD, why, left=left)
    return Way(
        REFUSE,
        f"{folder.path}: {why}",
        left=left,
        hint="Set rejoin: rebuild; what is there is moved aside, not removed.",
    )


def _refused(why: str, hint: str) -> Way:
    return Way(REFUSE, why, hint=hint)
