# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The append-only files of a Redis server as a stream: bases and increments, archived across rewrites."""

from __future__ import annotations

import contextlib
import datetime
import os
import typing as t

from ..core.checksums import CRC64_REDIS, crc_function
from ..core.clock import format_time
from ..core.errors import (
    LifeboatError,
    RedisLoading,
    RedisUnreachable,
    StreamRecordInvalid,
    StreamSegmentRefused,
    StreamSpoolUnusable,
)
from ..core.host import Host
from ..core.progress import Progress
from ..streams.segment import Segment, SegmentDescription, StreamEvent
from ..streams.source import Capture, StreamInspection
from ..streams.spool import Spool, SpoolEntry
from ..streams.stream import Stream
from . import aof
from .aof_log_capture import Moment, PieceWriter
from .aof_log_cut import hash_span, tail_hash
from .aof_log_files import OpenFiles, open_files
from .aof_log_lineage import advance, begin, catch_up
from .aof_log_links import Links, link_name
from .aof_log_notes import ChainNotes, forget_notes, load_notes, save_notes
from .aof_log_options import AofLogOptions
from .aof_log_piece import Piece, PieceName, Server
from .aof_log_server import (
    TIMESTAMPS,
    begin_of_life,
    complete_second,
    config_sets,
    has_open,
    is_rewriting,
    refuse_unarchivable,
    replication_id,
    server_second,
    setting_warnings,
    turn_on_timestamps,
)
from .facts import ServerFacts, read_facts
from .local_files import DataFolder, data_folder
from .refusals import refuse_unfit
from .resp import RespClient
from .same_host import server_process
from .snapshot_points import moment_of

_ATTEMPTS = 20


class AofLogSource:
    """See :class:`streams.source.StreamSource`. One capture at a time; its notes and links are in the spool, too."""

    engine = "redis"
    kind = "aof-log"

    def __init__(self, *, options: AofLogOptions, spool: Spool, host: Host) -> None:
        self._options = options
        self._spool = spool
        self._host = host
        self._links = Links(spool.path)
        self._next: ChainNotes | None = None  # the lineage that the next capture begins

    # --- looking -----------------------------------------------------------------------------------------------------

    def inspect(self) -> StreamInspection:
        """See StreamSource. Raises AofLogUnsupported, RedisAppendOnlyOff, RedisFilesUnreachable, RedisClusterNode and
        the errors of the connection, except that a server that does not answer is none.
        """
        crc_function(CRC64_REDIS)
        chains = self._load()
        current = chains[-1] if chains and not chains[-1].over else None
        lineage = None if current is None else current.lineage
        try:
            client = self._options.connection.open(runner=self._host.runner)
            with contextlib.closing(client):
                return self._look(client, current, last=chains[-1] if chains else None)
        except (RedisUnreachable, RedisLoading) as error:
            return StreamInspection(lineage=lineage, reachable=False, problem=error.message)

    def _look(self, client: RespClient, current: ChainNotes | None, *, last: ChainNotes | None) -> StreamInspection:
        facts = self._facts(client)
        folder = data_folder(client, facts)
        warnings = setting_warnings(facts, address=client.peer, turns_on=self._options.turn_on_timestamps)
        held = self._links.size(data_folder=folder.path)
        if held > self._spool.budget:
            warnings.append(f"Links keep {held} bytes of rewritten files until they are captured; ship sooner.")
        self._next = None
        if current is None or self._would_end(current, facts, folder):
            current = self._next = begin(facts, second=server_second(client), after=last)
        shown = {**self._shown(facts, folder, current), "linked_bytes": held}
        return StreamInspection(
            lineage=current.lineage,
            facts=shown,
            warnings=tuple(warnings),
            capture_seconds=self._options.capture_seconds,
        )

    def _would_end(self, current: ChainNotes, facts: ServerFacts, folder: DataFolder) -> bool:
        now = open_files(facts, folder, clock=self._host.clock)
        if now is None:
            return False
        with contextlib.closing(now):
            went = advance(
                current, now, facts, config_sets=current.config_sets or 0, replication_id=current.replication_id
            )
            return bool(went.over)

    def _shown(self, facts: ServerFacts, folder: DataFolder, current: ChainNotes) -> dict[str, t.Any]:
        settings = facts.settings or {}
        shown: dict[str, t.Any] = {
            "server": f"{facts.flavour.capitalize()} {facts.version}",
            "role": facts.role,
            "folder": os.path.join(folder.path, settings.get("appenddirname", "")),
            "timestamps": settings.get(TIMESTAMPS) == "yes",
            "appendfsync": settings.get("appendfsync"),
            "aof_size": facts.aof_size,
        }
        covered = current.covered
        shown["increment"] = current.last_increment
        shown["covered"] = None if covered is None else format_time(moment_of(covered))
        if current.turned_on:
            shown["timestamps_turned_on"] = current.turned_on
        return shown

    def _facts(self, client: RespClient) -> ServerFacts:
        facts = read_facts(client)
        refuse_unfit(facts, address=client.peer, allow_cluster_node=self._options.allow_cluster_node)
        refuse_unarchivable(facts, address=client.peer)
        return facts

    # --- capturing ---------------------------------------------------------------------------------------------------

    def capture(self, *, spool: Spool, stored: Stream | None, progress: Progress) -> Capture:
        """See StreamSource. Raises what inspect() raises, RedisUnreachable, AofInvalid, AofUnstable, StreamSpoolFull.

        The files of the manifest are linked before anything is copied, so that a rewrite meanwhile takes nothing away.
        """
        progress.stage("looking at the append-only files")
        chains = self._load()
        self._catch_up(chains, stored)
        with contextlib.closing(self._options.connection.open(runner=self._host.runner)) as client:
            facts = self._facts(client)
            folder = data_folder(client, facts)
            if not folder.proven:  # their lengths have to prove it
                aof.freeze(client=client, facts=facts, folder=folder, clock=self._host.clock, timeout=60).close()
            warnings = setting_warnings(facts, address=client.peer, turns_on=self._options.turn_on_timestamps)
            prepared = self._prepare(client, facts, folder, chains, warnings)
        if prepared is None:
            return Capture(
                warnings=(*warnings, "The server has not written its first base yet; the next capture looks again.")
            )
        moment, events = prepared
        self._mend(chains[-1], stored, folder)
        files = 0
        for notes in chains:
            writer = PieceWriter(
                notes=notes,
                spool=spool,
                links=self._links,
                data_folder=folder.path,
                moment=moment,
                progress=progress,
            )
            captured = writer.run()
            files += captured.files
            events += [self._break(notes, why, more) for why, more in captured.breaks]
            if notes.over:
                forget_notes(self._spool.path, notes)
        return Capture(files=files, events=tuple(events), warnings=tuple(warnings))

    def close(self) -> None:
        """Let go of what is only kept open."""
        self._links.close()

    def _prepare(
        self,
        client: RespClient,
        facts: ServerFacts,
        folder: DataFolder,
        chains: list[ChainNotes],
        warnings: list[str],
    ) -> tuple[Moment, list[StreamEvent]] | None:
        """Link what the manifest names, and note it; None when there is nothing yet. *chains* may get a new one."""
        sets = config_sets(client)
        was_on = (facts.settings or {}).get(TIMESTAMPS) == "yes"
        sure = was_on and _is_the_same_time(chains, facts, sets=sets)
        timed_since = begin_of_life(client) if was_on and not sets else None
        events: list[StreamEvent] = []
        for _attempt in range(_ATTEMPTS):
            covered = complete_second(client, clock=self._host.clock)
            now = open_files(facts, folder, clock=self._host.clock)
            if now is None:
                return None
            with contextlib.closing(now):
                if not self._is_written(client, facts, now):
                    covered = None
                notes = self._continue(client, facts, now, chains, events, sets=sets)
                try:
                    lasting = self._link(notes, now, folder)
                except FileNotFoundError:
                    continue  # a rewrite has ended just now
                size = os.fstat(now.newest.descriptor).st_size
            taken = server_second(client)
            if not lasting:
                warnings.append(
                    "The append-only files can't be linked (another file system, or no right to): what is written "
                    "between the last capture and the end of a rewrite can be lost. Put the spool on their file system."
                )
            notes.run_id, notes.config_sets = facts.run_id, sets
            notes.replication_id = replication_id(client)
            if self._options.turn_on_timestamps and not was_on:
                notes.turned_on = format_time(self._host.clock.now())
                save_notes(self._spool.path, notes)
                turn_on_timestamps(client)
                notes.config_sets, was_on = sets + 1, True
            notes.timed = was_on
            save_notes(self._spool.path, notes)
            sure = sure and not any(one.over for one in chains)
            moment = Moment(
                server=_server(facts), size=size, covered=covered, taken=taken, sure=sure, timed_since=timed_since
            )
            return moment, events
        return None

    def _continue(
        self,
        client: RespClient,
        facts: ServerFacts,
        now: OpenFiles,
        chains: list[ChainNotes],
        events: list[StreamEvent],
        *,
        sets: int,
    ) -> ChainNotes:
        """The lineage that the files belong to, with them noted; *events* gets what broke."""
        if chains and not chains[-1].over:
            notes = chains[-1]
            went = advance(notes, now, facts, config_sets=sets, replication_id=replication_id(client))
            if went.broken:
                events += self._broken(notes, went.broken)
            if not went.over:
                return notes
            notes.over = went.over
            for note in notes.files.values():
                note.ended = True
            save_notes(self._spool.path, notes)
            events += self._broken(notes, f"another history took its place: {went.over}")
        after = chains[-1] if chains else None
        expected, self._next = self._next, None
        is_fit = expected is not None and (after is None or expected.chain > after.chain)
        notes = expected if is_fit and expected else begin(facts, second=server_second(client), after=after)
        if after is not None:
            # Files that were put there hold writes of before: until the server came up on them, it held others.
            notes.since = notes.chain if after.run_id == facts.run_id else begin_of_life(client)
        advance(notes, now, facts, config_sets=sets, replication_id=replication_id(client))
        chains.append(notes)
        return notes

    def _is_written(self, client: RespClient, facts: ServerFacts, now: OpenFiles) -> bool:
        """Whether the server writes to the newest file: while a first rewrite runs, it writes to one of no name yet."""
        process = server_process(client.stream, claimed=facts.process_id)
        found = None if process is None else has_open(process, now.newest.descriptor)
        return not is_rewriting(client) if found is None else found

    def _link(self, notes: ChainNotes, now: OpenFiles, folder: DataFolder) -> bool:
        lasting = True
        for file in now.files:
            note = notes.find(file.type, file.increment)
            if note is not None and not note.is_done:
                name = link_name(notes.chain, note.key)
                lasting &= self._links.take(name, file.path, file.descriptor, data_folder=folder.path)
        return lasting

    def _catch_up(self, chains: t.Sequence[ChainNotes], stored: Stream | None) -> None:
        pieces = []
        for entry in self._spool.entries():
            with contextlib.suppress(LifeboatError):
                pieces.append(self._noted(entry)[1])
        if stored is not None:
            for one in stored.segments:
                with contextlib.suppress(StreamRecordInvalid):
                    pieces.append(Piece.of(one.segment))
        for notes in chains:
            catch_up(notes, pieces)

    def _mend(self, notes: ChainNotes, stored: Stream | None, folder: DataFolder) -> None:
        """Begin again at the first hole in what is stored and spooled of a file that is still at hand."""
        if stored is None or stored.problems or stored.folder.lineage != notes.lineage:
            return
        names = [PieceName.parse(one.segment.name) for one in stored.segments]
        names += [PieceName.parse(entry.name) for entry in self._spool.entries()]
        spans: dict[str, list[tuple[int, int]]] = {}
        for name in names:
            if name is not None and name.chain == notes.chain:
                spans.setdefault(f"{name.increment:010d}.{name.type}", []).append((name.offset, name.end))
        for key, note in notes.files.items():
            end = 0
            for low, high in sorted(spans.get(key, ())):
                end = max(end, high) if low <= end else end
            if not 0 < end < note.captured:  # without its begin it may have been pruned
                continue
            descriptor = self._links.open(link_name(notes.chain, key), data_folder=folder.path)
            if descriptor is None:
                continue
            try:
                # What is captured again was written before what came later: when, is not known any more.
                notes.covered = None
                note.captured, note.closing, note.sealed = end, None, None
                note.tail = tail_hash(descriptor, end, name=note.file)
            finally:
                os.close(descriptor)

    def _broken(self, notes: ChainNotes, why: str) -> list[StreamEvent]:
        full = "A new base begins a new window; until it is stored, only what came before the break can be reached."
        return [
            self._break(notes, why, {}),
            StreamEvent("full-backup-needed", self._host.clock.now(), full, {"lineage": notes.lineage}),
        ]

    def _break(self, notes: ChainNotes, why: str, more: t.Mapping[str, t.Any]) -> StreamEvent:
        return StreamEvent("break", self._host.clock.now(), why, {"lineage": notes.lineage, **more})

    def _load(self) -> list[ChainNotes]:
        return load_notes(self._spool.path)

    # --- what waits --------------------------------------------------------------------------------------------------

    def describe(self, entry: SpoolEntry) -> tuple[str, SegmentDescription]:
        """See StreamSource. The bytes are compared with what was noted of them when they were captured."""
        lineage, piece, sha256 = self._noted(entry)
        try:
            with open(entry.path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                found = hash_span(file.fileno(), 0, size, name=entry.name)
        except FileNotFoundError:
            raise  # it was removed since it was listed
        except OSError as error:
            raise StreamSpoolUnusable(
                f"{entry.path} can't be read: {error.strerror}.", hint=f"Run: ls -l {entry.path}"
            ) from error
        if found != sha256 or size != piece.name.end - piece.name.offset:
            raise self._refused(entry, "its bytes are not those that were captured", lineage=lineage)
        return lineage, SegmentDescription(
            name=entry.name,
            group=piece.name.group,
            media="base of append-only files" if piece.is_base else "piece of an append-only file",
            begins=_moment(piece.created if piece.is_base else (piece.first or piece.opening)),
            ends=_moment(piece.created if piece.is_base else (piece.last or piece.closing or piece.covered)),
            facts=piece.as_facts(),
        )

    def order(self, name: str) -> tuple[t.Any, ...]:
        """See StreamSource."""
        found = PieceName.parse(name)
        if found is None:
            raise StreamSegmentRefused(
                f"{name} is no name of a piece of an append-only file.",
                hint=f"Move it out of the spool: ls -l {os.path.join(self._spool.path, name)}",
                details={"name": name},
            )
        return (found.chain, found.increment, found.type, found.offset, found.end, found.covered)

    def follows(self, before: Segment, after: Segment) -> bool:
        """See StreamSource."""
        try:
            first, second = Piece.of(before), Piece.of(after)
        except StreamRecordInvalid:
            return False
        one, other = first.name, second.name
        if one.chain != other.chain:
            return False
        if (one.increment, one.type) == (other.increment, other.type):
            return other.offset <= one.end
        begins = not other.offset
        if second.is_base:
            return begins and (first.is_base or second.beside in (None, (one.increment, one.end)))
        reached = first.beside if first.is_base else (one.increment, one.end)
        if reached is None:
            return begins
        return other.offset <= reached[1] if reached[0] == other.increment else begins and second.previous == reached

    def _noted(self, entry: SpoolEntry) -> tuple[str, Piece, str]:
        note = self._spool.note(entry.name)
        lineage, sha256, facts = note.get("lineage"), note.get("sha256"), note.get("facts")
        if not isinstance(lineage, str) or not isinstance(sha256, str) or not isinstance(facts, dict):
            raise self._refused(entry, "the note beside it is missing or none")
        try:
            return lineage, Piece.from_facts(entry.name, facts), sha256
        except StreamRecordInvalid as error:
            raise self._refused(entry, error.message, lineage=lineage) from error

    def _refused(self, entry: SpoolEntry, why: str, *, lineage: str | None = None) -> StreamSegmentRefused:
        return StreamSegmentRefused(
            f"{entry.path} is not stored: {why}.",
            hint="Move it out of the spool; the next capture takes it again as long as the server has the file.",
            details={"path": entry.path, **({} if lineage is None else {"lineage": lineage})},
        )


def _is_the_same_time(chains: t.Sequence[ChainNotes], facts: ServerFacts, *, sets: int) -> bool:
    """Whether times were on when the last capture left, and nobody can have switched them off and on since."""
    if not chains or chains[-1].over:
        return False
    last = chains[-1]
    return last.timed and (last.run_id, last.config_sets) == (facts.run_id, sets)


def _server(facts: ServerFacts) -> Server:
    return Server(
        flavour=facts.flavour,
        version=facts.version,
        modules=facts.modules,
        cluster_node=facts.cluster,
        databases=1 + max((int(name[2:]) for name in facts.keyspace), default=0),
    )


def _moment(second: int | None) -> datetime.datetime | None:
    return None if second is None else moment_of(second)
