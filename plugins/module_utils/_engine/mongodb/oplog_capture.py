# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One capture: from the end of the newest chain to what a majority has now, as slices in the spool."""

from __future__ import annotations

import contextlib
import shutil
import typing as t
from dataclasses import replace

from ..core.errors import (
    MongoError,
    MongoNoSuitableMember,
    MongoOplogMoved,
    MongoUnknownHost,
    MongoUnreachable,
)
from ..core.host import Host
from ..core.progress import Progress
from ..streams.segment import StreamEvent
from ..streams.spool import Spool
from .bson_bytes import MalformedBson
from .oplog_chain import (
    CONTINUES,
    FIRST,
    INITIATED_AGAIN,
    ROLLED_BACK,
    SLICES_LOST,
    Chain,
    Hole,
    broken_by,
    chain_of,
    holes,
    judge,
    lineage_of,
    newest,
    require_same_set,
    why_broken,
)
from .oplog_members import OplogSet, opened_set
from .oplog_options import OplogOptions
from .oplog_reading import NOTHING, last_writes, look, read_entries, server_version, where_to_begin
from .oplog_slice import Beginning, EntryMark, Objection, OplogSlice, spool_name
from .oplog_slicer import Limits, ReadFrom, Slicer, moved
from .timestamps import Position, position_text
from .topology import PRIMARY, Member

if t.TYPE_CHECKING:
    from .connection import Client

_ATTEMPTS = 3
_SECONDS_BETWEEN_ATTEMPTS = 0.5
_COPY = 1024 * 1024
_MOST_REASON = 500
# A majority that is so far behind the newest write is worth a word.
_UNCONFIRMED_SECONDS = 10
# What an election or a full oplog does to a cursor, from src/mongo/base/error_codes.yml of github.com/mongodb/mongo.
_PASSING = frozenset((11600, 11602, 91, 136, 189, 10107, 13435, 13436))

Remember = t.Callable[[OplogSlice], None]


class OplogCaptureRun:
    """Used once. *known* are slices in repositories and in the spool; *remember* is told of each newest one. *lost* is
    the end of a chain of which nothing is left; with *mends* holes between known slices are read again.

    *files*, *events* and *warnings* say what became of it, also when run() raises: whatever was put stays.
    """

    def __init__(
        self,
        *,
        options: OplogOptions,
        host: Host,
        spool: Spool,
        progress: Progress,
        known: t.Sequence[OplogSlice],
        remember: Remember,
        lost: OplogSlice | None = None,
        mends: bool = True,
    ) -> None:
        self.files = 0
        self.events: list[StreamEvent] = []
        self.warnings: list[str] = []
        self._options = options
        self._host = host
        self._spool = spool
        self._progress = progress
        self._known = known
        self._lost = lost
        self._mends = mends
        self._remember = remember
        self._head: OplogSlice | None = None

    def run(self) -> None:
        """Capture. When a member goes away in the middle another one goes on.

        Raises MongoSetRenamed, MongoNoOplog, MongoNoSuitableMember when nobody has the chain's end just now,
        MongoUnreachable, StreamSpoolFull and StreamSpoolUnusable.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with opened_set(self._options, host=self._host) as oplog_set:
                    try:
                        self._capture(oplog_set)
                    finally:
                        self.warnings += [one for one in oplog_set.warnings if one not in self.warnings]
                return
            except MongoError as error:
                if attempt == _ATTEMPTS or not _may_pass(error):
                    raise
                self._host.journal.info(f"The capture begins again: {error.message}")
                self._host.clock.sleep(_SECONDS_BETWEEN_ATTEMPTS)

    def announce(self, one: OplogSlice) -> None:
        """Tell of the break that a lineage begins with, where it does begin with one."""
        beginning = one.beginning
        if beginning is None or beginning.cause == FIRST:
            return
        facts = {**beginning.as_dict(), "lineage": one.lineage, "bases_from": position_text(one.bases_from)}
        now = self._host.clock.now()
        self.events.append(StreamEvent(what="break", at=now, reason=beginning.reason, facts=facts))
        self.events.append(
            StreamEvent(
                what="full-backup-needed",
                at=now,
                reason=f"What follows {position_text(one.bases_from)} can be joined to no older backup.",
                facts=facts,
            )
        )

    def _capture(self, oplog_set: OplogSet) -> None:
        lost = [] if self._lost is None else [self._lost]
        head = self._head or newest([*self._known, *lost], replica_set_id=oplog_set.set_id)
        require_same_set(head, replica_set=oplog_set.name)
        if oplog_set.primary is None:
            self._warn(f"{oplog_set.name} has no primary now; what a majority had before is captured.")
        anew = self._why_anew(oplog_set, head)
        if head is None or anew is not None:
            member, client = self._anyone(oplog_set)
            chain = _begin(oplog_set, client, cause=anew or FIRST, ended=head)
        else:
            member, client, broken = self._who_continues(oplog_set, head.last)
            chain = chain_of(head) if broken is None else _begin(oplog_set, client, cause=broken, ended=head)
        self._read(client, member, chain)

    def _why_anew(self, oplog_set: OplogSet, head: OplogSlice | None) -> str | None:
        """Why a chain can't go on, whatever the members have; None where that depends on them."""
        if head is None:
            return FIRST
        if None not in (head.replica_set_id, oplog_set.set_id) and head.replica_set_id != oplog_set.set_id:
            return INITIATED_AGAIN
        return SLICES_LOST if head is self._lost else None

    def _anyone(self, oplog_set: OplogSet) -> tuple[Member, Client]:
        for member in oplog_set.members(self._options):
            client = oplog_set.connect(member)
            if client is not None:
                return member, client
        raise self._nobody(oplog_set, "none of its members answers")

    def _who_continues(self, oplog_set: OplogSet, end: EntryMark) -> tuple[Member, Client, str | None]:
        """A member that has the chain's end; else one to begin anew with, and why the chain is broken."""
        asked: list[tuple[Member, Client, str]] = []
        for member in oplog_set.members(self._options):
            client = oplog_set.connect(member)
            if client is None:
                continue
            try:
                verdict = judge(end, look(client, end.position))
            except (MongoUnreachable, MongoUnknownHost) as error:
                self._warn(f"{member.host} ({member.role}) does not answer any more: {error.message}")
                continue
            if verdict == CONTINUES:
                return member, client, None
            asked.append((member, client, verdict))
        verdicts = [verdict for _member, _client, verdict in asked]
        broken = broken_by(
            verdicts, primary_was_asked=any(member.role == PRIMARY for member, _client, _verdict in asked)
        )
        if broken is None:
            said = "; ".join(f"{member.host} ({member.role}): {verdict}" for member, _client, verdict in asked)
            raise self._nobody(
                oplog_set,
                f"none of them shows the entry {position_text(end.position)} now ({said or 'nobody answers'})",
            )
        member, client, _verdict = next(one for one in asked if broken != ROLLED_BACK or one[2] == ROLLED_BACK)
        return member, client, broken

    def _nobody(self, oplog_set: OplogSet, why: str) -> MongoNoSuitableMember:
        return MongoNoSuitableMember(
            f"The oplog of {oplog_set.name} can't be read on: {why}.",
            hint="In mongosh: rs.status()   The capture goes on by itself as soon as a member has the entry.",
            details={"members": [member.as_dict() for member in oplog_set.topology.members]},
        )

    def _read(self, client: Client, member: Member, chain: Chain) -> None:
        version, compatibility = server_version(client)
        read_from = ReadFrom(member=member.host, version=version)
        if self._mends and not chain.is_new:
            for hole in holes(one for one in self._known if one.lineage == chain.lineage):
                self._mend(client, hole, read_from=read_from)
        writes = last_writes(client)
        compatibility = _same(compatibility, server_version(client)[1], end=writes.majority)
        if writes.majority == NOTHING:
            self._warn(f"{member.host} does not know what a majority has since it was started; nothing is captured.")
        elif writes.newest[0] - writes.majority[0] > _UNCONFIRMED_SECONDS:
            self._warn(
                f"A majority lacks the last {writes.newest[0] - writes.majority[0]} seconds of what {member.host} has; "
                "that can still be rolled back, and is captured when a majority has it."
            )
        following: Chain | None = chain
        while following is not None:
            if following.end is not None and following.end.position >= writes.majority:
                return
            if following.is_new:
                following = replace(following, feature_compatibility=compatibility)
            following = self._slice(client, following, end=writes.majority, read_from=read_from)

    def _slice(self, client: Client, chain: Chain, *, end: Position, read_from: ReadFrom) -> Chain | None:
        """Read a chain up to *end*, or to an entry that can't be replayed; returns the chain that begins there."""
        slicer = self._slicer(chain, read_from=read_from)
        try:
            objection: Objection | None = None
            with contextlib.closing(read_entries(client, start=chain.reads_from, end=end)) as entries:
                for raw in entries:
                    objection = _take(slicer, raw)
                    if objection is not None:
                        break
            if objection is None:
                slicer.finish(until_idle=self._options.idle_seconds)
                return None
            before = slicer.open_first
            if not slicer.chain.is_new:
                slicer.finish(until_idle=None)
            return _after_objection(slicer.chain, objection, open_first=before)
        finally:
            slicer.close()

    def _mend(self, client: Client, hole: Hole, *, read_from: ReadFrom) -> None:
        """Read again what lies between two stored slices, as long as the oplog still has it."""
        chain = chain_of(hole.before)
        if look(client, chain.reads_from).entry != hole.before.last:
            return
        slicer = self._slicer(chain, read_from=read_from)
        try:
            end = hole.after.first.position
            with contextlib.closing(read_entries(client, start=chain.reads_from, end=end)) as entries:
                for raw in entries:
                    if _take(slicer, raw) is not None:
                        raise moved(end)
            slicer.finish(until_idle=None)
        finally:
            slicer.close()
        between = f"{position_text(hole.before.last.position)} and {position_text(end)}"
        self._warn(f"A slice between {between} was nowhere any more; it was read again from the oplog.")

    def _slicer(self, chain: Chain, *, read_from: ReadFrom) -> Slicer:
        options = self._options
        return Slicer(
            chain=chain,
            limits=Limits(entries=options.slice_entries, size=options.slice_bytes),
            read_from=read_from,
            folder=self._spool.path,
            put=self._put,
        )

    def _put(self, one: OplogSlice, file: t.BinaryIO) -> None:
        self._spool.require_room(one.size)
        self._spool.put(
            spool_name(one.lineage, one.name),
            lambda output: shutil.copyfileobj(file, output, _COPY),
            note=one.as_facts(),
        )
        self.files += 1
        self._progress.add(done=one.size)
        self.announce(one)
        before = self._head
        if before is None or before.lineage != one.lineage or one.last.position > before.last.position:
            self._advance(one)

    def _advance(self, one: OplogSlice) -> None:
        if not any(known.lineage == one.lineage and known.last.position > one.last.position for known in self._known):
            self._head = one
            self._remember(one)

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


def _begin(oplog_set: OplogSet, client: Client, *, cause: str, ended: OplogSlice | None) -> Chain:
    """A new chain, from what the member has now."""
    reads_from, bases_from = where_to_begin(client)
    if ended is None:
        beginning = Beginning(cause=cause, reason="Nothing older was ever captured.")
    else:
        last = ended.last.position
        beginning = Beginning(cause=cause, reason=why_broken(cause, last), before=ended.lineage, ended=last)
    return _new_chain(
        replica_set=oplog_set.name,
        replica_set_id=oplog_set.set_id,
        bases_from=bases_from,
        reads_from=reads_from,
        beginning=beginning,
    )


def _after_objection(chain: Chain, objection: Objection, *, open_first: Position | None) -> Chain:
    """The chain that begins at an entry behind which nothing can be joined to what is older."""
    what = f"At {position_text(objection.position)} {objection.reason}"
    pending = chain.beginning if chain.is_new else None
    if pending is not None:  # nothing of it was put: it was a chain of no use to anybody
        reason = pending.reason if len(pending.reason) > _MOST_REASON else f"{pending.reason} {what}, too."
        beginning = replace(pending, reason=reason)
    else:
        beginning = Beginning(
            cause=objection.cause,
            reason=f"{what}: nothing that is older can be brought past it.",
            before=chain.lineage,
            ended=chain.reads_from,
        )
    return _new_chain(
        replica_set=chain.replica_set,
        replica_set_id=chain.replica_set_id,
        feature_compatibility=None,
        bases_from=objection.position,
        reads_from=objection.position if open_first is None else min(objection.position, open_first),
        beginning=beginning,
    )


def _new_chain(
    *,
    replica_set: str,
    replica_set_id: str | None,
    bases_from: Position,
    reads_from: Position,
    beginning: Beginning,
    feature_compatibility: str | None = None,
) -> Chain:
    return Chain(
        lineage=lineage_of(replica_set, replica_set_id, bases_from=bases_from),
        replica_set=replica_set,
        replica_set_id=replica_set_id,
        feature_compatibility=feature_compatibility,
        bases_from=bases_from,
        reads_from=reads_from,
        beginning=beginning,
    )


def _same(before: str | None, after: str | None, *, end: Position) -> str | None:
    """The feature compatibility version at *end*; while it is being changed nobody can say which that is."""
    if before != after:
        raise moved(end)
    return after


def _take(slicer: Slicer, raw: bytes) -> Objection | None:
    try:
        return slicer.take(raw)
    except MalformedBson as error:
        raise MongoError(f"Reading the oplog failed: {error}.") from error


def _may_pass(error: MongoError) -> bool:
    """Whether asking again, perhaps somebody else, can help."""
    if isinstance(error, (MongoUnreachable, MongoOplogMoved)):
        return True
    return error.details.get("server_code") in _PASSING
