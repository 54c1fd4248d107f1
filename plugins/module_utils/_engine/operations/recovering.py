# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a point in time to a backup and the segments behind it: what a recovery adds to a restore."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from ..catalog.catalog import Backup, Reading, Selection, read_catalog
from ..catalog.layout import Series
from ..catalog.manifest import Manifest
from ..catalog.standing import COMPLETE
from ..core.errors import LifeboatError, RecoveryTargetUnreachable, RestoreLedgerInvalid
from ..core.host import Host
from ..core.ids import new_backup_id
from ..core.version import VERSION
from ..recovery.recovery_planner import RecoveryPlan, SegmentReader
from ..recovery.recovery_target import RecoveryTarget, recovery_target_from
from ..recovery.segment_reader import StoredSegmentReader
from ..recovery.vendor_archive import VendorArchives
from ..recovery.windows import Windows
from ..storage.base import Storage
from ..streams.reader import read_streams
from ..streams.stream import Stream
from .choosing import Choice, Sources, copy_to_read, require_one_readable
from .recovery_kinds import EngineRecovery, engine_recovery
from .recovery_streams import plan_with_streams


@dataclass(frozen=True)
class RecoveryRequest:
    """A point in time of one source: its *engine* and the *target*.

    *options* are the restore's: where a vendor's tool keeps the stream they may say where that is.
    """

    engine: str
    target: RecoveryTarget
    options: t.Mapping[str, t.Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PlannedRecovery:
    """The base as a choice, and the reader of the segments that are replayed behind it."""

    choice: Choice
    segments: SegmentReader


def plan_point(sources: Sources, selection: Selection, request: RecoveryRequest) -> PlannedRecovery:
    """Choose base and segments. Raises RecoveryTargetUnreachable and RecoveryTargetInvalid, and StorageAllFailed."""
    host, way = sources.host, engine_recovery(request.engine)
    reading = _catalog(sources, selection)
    require_one_readable(reading, sources.storages)
    _tell(reading.problems, host)
    bases = _bases(reading, way)
    vendors = _vendor_archives(way, bases, options=request.options, host=host)
    _tell(vendors.problems, host)
    plan = plan_with_streams(
        way,
        bases=bases,
        series=_series(selection, way),
        target=request.target,
        storages=sources.storages,
        now=host.clock.now(),
        tell=lambda streams: _tell(_problems(streams), host),
        others=vendors.streams,
    )
    base = plan.base or _out_of_the_stream(plan, selection, way, engine=request.engine, host=host)
    series = tuple(one for one in bases if one.manifest.folder.series == base.manifest.folder.series)
    choice = Choice(
        backup=base,
        repository=copy_to_read(base, sources.storages) if plan.base else next(iter(sources.storages)),
        reason=" ".join(plan.why),
        series=series or (base,),
    )
    segments = _vendor_reader(way, plan, base=base, options=request.options, host=host)
    return PlannedRecovery(choice=choice, segments=segments or _reader(plan, sources, _stream_series(base, way)))


def explain_hole(
    sources: Sources, selection: Selection, request: RecoveryRequest, error: RecoveryTargetUnreachable
) -> RecoveryTargetUnreachable:
    """*error* says that a planned segment is nowhere whole; the same with the nearest points that can be reached."""
    way = engine_recovery(request.engine)
    stored = read_source(sources, selection, engine=request.engine, options=request.options)
    bases, streams = _bases(stored.reading, way), stored.readable_streams()
    left = tuple(
        replace(stream, segments=tuple(one for one in stream.segments if one.segment.name != error.details["segment"]))
        for stream in streams
    )
    try:
        way.planner.plan(bases=bases, streams=left, target=request.target, now=sources.host.clock.now())
    except RecoveryTargetUnreachable as nearest:
        details = {**nearest.details, "segment": error.details["segment"]}
        return RecoveryTargetUnreachable(error.message, hint=nearest.hint, details=details)
    return error


@dataclass(frozen=True)
class StoredSource:
    """All that the repositories hold of one source: its backups, and what can be replayed behind them.

    *streams* is the error instead where no repository could be read. *problems* are vendors' storages that gave no
    answer.
    """

    reading: Reading
    streams: tuple[Stream, ...] | LifeboatError
    problems: tuple[LifeboatError, ...] = ()

    def readable_streams(self) -> tuple[Stream, ...]:
        """The streams. Raises what reading them raised."""
        if isinstance(self.streams, LifeboatError):
            raise self.streams
        return self.streams


def read_source(
    sources: Sources, selection: Selection, *, engine: str, options: t.Mapping[str, t.Any] | None = None
) -> StoredSource:
    """Read the catalog and the streams of a source, once for all who want to know something of it.

    With *options* ({} will do) those, too, that a vendor's tool keeps where its backups say: that takes seconds.
    """
    reading = _catalog(sources, selection)
    way = engine_recovery(engine)
    streams: tuple[Stream, ...] | LifeboatError
    try:
        streams = read_streams(sources.storages, _series(selection, way))
    except LifeboatError as error:
        streams = error
    if options is None or isinstance(streams, LifeboatError):
        return StoredSource(reading=reading, streams=streams)
    vendors = _vendor_archives(way, _bases(reading, way), options=options, host=sources.host)
    return StoredSource(reading=reading, streams=(*streams, *vendors.streams), problems=vendors.problems)


def source_windows(
    sources: Sources, selection: Selection, *, engine: str, options: t.Mapping[str, t.Any] | None = None
) -> Windows:
    """What the source can be recovered to, by what is stored alone. Raises StorageAllFailed.

    *options* are those of a restore: where they name a vendor's tool, its storage is asked as they say.
    """
    stored = read_source(sources, selection, engine=engine, options=options or {})
    require_one_readable(stored.reading, sources.storages)
    _tell((*stored.reading.problems, *_problems(stored.readable_streams())), sources.host)
    return windows_of(stored, sources.storages, engine=engine)


def windows_of(stored: StoredSource, storages: t.Mapping[str, Storage], *, engine: str) -> Windows:
    """The same of what was read already. Raises StorageAllFailed, and what reading the streams raised."""
    require_one_readable(stored.reading, storages)
    way = engine_recovery(engine)
    streams = stored.readable_streams()
    found = way.windows(_bases(stored.reading, way), streams)
    problems = (*_problems(streams), *stored.problems)
    return replace(found, warnings=(*found.warnings, *(str(problem) for problem in problems)))


def noted_recovery(plan: RecoveryPlan, *, engine: str) -> dict[str, t.Any]:
    """What the ledger keeps of a plan: enough to find the same segments again."""
    return {
        "engine": engine,
        "target": plan.target.as_dict(),
        "lineage": plan.lineage,
        "segments": [stored.segment.name for stored in plan.segments],
        "why": list(plan.why),
        "facts": dict(plan.facts),
        "warnings": list(plan.warnings),
    }


def recovery_as_noted(
    document: t.Mapping[str, t.Any],
    *,
    base: Backup,
    sources: Sources,
    host: Host,
    options: t.Mapping[str, t.Any] | None = None,
) -> SegmentReader:
    """The plan of an earlier recovery, for putting things back: its segments can't be read (see :func:`read_again`)."""
    target = recovery_target_from(document["target"], now=host.clock.now())
    plan = RecoveryPlan(
        target=target,
        base=base,
        lineage=str(document["lineage"]),
        segments=(),
        why=tuple(document["why"]),
        facts=dict(document["facts"]),
        warnings=tuple(document["warnings"]),
    )
    way = engine_recovery(str(document["engine"]))
    vendor = _vendor_reader(way, plan, base=base, options=options or {}, host=host)
    return vendor or _reader(plan, sources, _stream_series(base, way))


def read_again(
    document: t.Mapping[str, t.Any],
    *,
    base: Backup,
    sources: Sources,
    host: Host,
    options: t.Mapping[str, t.Any] | None = None,
) -> SegmentReader:
    """The same with its segments, for going on. Raises RestoreLedgerInvalid when one is no longer recorded."""
    way = engine_recovery(str(document["engine"]))
    noted = recovery_as_noted(document, base=base, sources=sources, host=host)
    vendor = _vendor_reader(way, noted.plan, base=base, options=options or {}, host=host, segments=document["segments"])
    if vendor is not None:
        return vendor
    series = _stream_series(base, way)
    stored = {
        one.segment.name: one
        for stream in read_streams(sources.storages, series, lineage=str(document["lineage"]) or None)
        for one in stream.segments
    }
    gone = [name for name in document["segments"] if name not in stored]
    if gone:
        raise RestoreLedgerInvalid(
            f"The recovery needs {gone[0]} (and {len(gone) - 1} more), which no repository records any more.",
            hint="Roll it back and recover again: lifeboat restore --roll-back ID",
            details={"segments": gone[:20]},
        )
    return _reader(replace(noted.plan, segments=tuple(stored[name] for name in document["segments"])), sources, series)


def _out_of_the_stream(
    plan: RecoveryPlan, selection: Selection, way: EngineRecovery, *, engine: str, host: Host
) -> Backup:
    """What stands for the base where the stream carries its own: what is restored is in the segments."""
    first = plan.segments[0].segment
    moment = first.description.begins or first.stored
    manifest = Manifest(
        backup_id=new_backup_id(now=moment),
        service=str(selection.service),
        source=str(selection.source),
        engine=engine,
        kind=way.stream_kind,
        started=moment,
        finished=max(first.stored, moment),
        host=host.name,
        lifeboat_version=VERSION,
        repositories=tuple(plan.segments[0].copies),
        compression=None,
        encryption=None,
        payloads=tuple(one.segment.payload for one in plan.segments),
        facts={},
        content={"base": first.name},
        stages={},
    )
    return Backup(manifest=manifest, repositories=dict.fromkeys(manifest.repositories, COMPLETE))


def _vendor_archives(
    way: EngineRecovery, bases: t.Sequence[Backup], *, options: t.Mapping[str, t.Any], host: Host
) -> VendorArchives:
    if way.vendor_archives is None:
        return VendorArchives()
    return way.vendor_archives(bases, options=options, host=host)


def _vendor_reader(
    way: EngineRecovery,
    plan: RecoveryPlan,
    *,
    base: Backup,
    options: t.Mapping[str, t.Any],
    host: Host,
    segments: t.Sequence[str] = (),
) -> SegmentReader | None:
    if way.open_vendor_archive is None:
        return None
    return way.open_vendor_archive(plan, base=base, options=options, host=host, segments=segments)


def _catalog(sources: Sources, selection: Selection) -> Reading:
    return read_catalog(sources.storages, selection=Selection(service=selection.service, source=selection.source))


def _bases(reading: Reading, way: EngineRecovery) -> tuple[Backup, ...]:
    return tuple(one for one in reading.backups if one.manifest.kind in way.base_kinds)


def _series(selection: Selection, way: EngineRecovery) -> Series:
    return Series(service=str(selection.service), source=str(selection.source), kind=way.stream_kind)


def _problems(streams: t.Sequence[Stream]) -> tuple[LifeboatError, ...]:
    return tuple(problem for stream in streams for problem in stream.problems)


def _tell(problems: t.Sequence[LifeboatError], host: Host) -> None:
    for problem in problems:
        host.journal.warning(str(problem))


def _reader(plan: RecoveryPlan, sources: Sources, series: Series) -> SegmentReader:
    return StoredSegmentReader(
        plan=plan, series=series, storages=sources.storages, host=sources.host, identity=sources.identity
    )


def _stream_series(base: Backup, way: EngineRecovery) -> Series:
    return Series(service=base.manifest.service, source=base.manifest.source, kind=way.stream_kind)
