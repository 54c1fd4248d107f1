# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WAL-G's archive as a stream of WAL: its timelines, its holes, and the times at its ends.

WAL-G notes no times. So the last segments of each timeline, and the first ones, are fetched and looked into: what was
committed last is how far the archive reaches for certain. In between no time is needed, because a recovery to a time
replays until it has met it.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import pwd
import tempfile
import typing as t
from dataclasses import replace

from ..catalog.catalog import Backup
from ..catalog.layout import Series
from ..core.clock import parse_time
from ..core.errors import LifeboatError, RecoveryTargetUnreachable, StreamSegmentRefused, WalgArchiveBroken
from ..core.host import Host
from ..recovery.recovery_planner import RecoveryPlan, SegmentReader
from ..recovery.vendor_archive import VendorArchives
from ..streams.layout import StreamFolder
from ..streams.spool import SpoolEntry
from ..streams.stream import StoredSegment, Stream
from .programs import server_account
from .timeline_history import TimelineHistory, parse_history
from .wal_description import commits_behind, describe_wal
from .wal_names import history_name, is_segment_name, segment_name, segments_between
from .wal_page import WalDamaged
from .walg_archive import named_segment, segment_size_of
from .walg_files import WalgFiles
from .walg_options import RESTORE_KEYS, WalgOptions, walg_options
from .walg_program import WalgProgram
from .walg_records import StoredTimeline
from .walg_restore import is_walg, open_walg, walg_facts

if t.TYPE_CHECKING:
    from ..catalog.manifest import Manifest

#: In the facts of a plan: who keeps its segments.
KEPT_BY = "segments_kept_by"
_WALG = "wal-g"
# A segment without any commit is of an idle server; further back than this the backup's own end is the answer.
_LOOK_BACK = 4
_EPOCH = parse_time("1970-01-01T00:00:00Z")


def read_walg_archives(bases: t.Sequence[Backup], *, options: t.Mapping[str, t.Any], host: Host) -> VendorArchives:
    """See ReadVendorArchives. The archive of each storage that a backup of WAL-G names; () where none does."""
    streams: list[Stream] = []
    problems: list[LifeboatError] = []
    for manifests in _by_storage(bases).values():
        try:
            program = _open(manifests, options=options, host=host)
            streams.append(_stream(manifests, program=program, host=host))
        except LifeboatError as error:
            problems.append(error)
    return VendorArchives(streams=tuple(streams), problems=tuple(problems))


def open_walg_archive(
    plan: RecoveryPlan,
    *,
    base: Backup,
    options: t.Mapping[str, t.Any],
    host: Host,
    segments: t.Sequence[str] = (),
) -> SegmentReader | None:
    """See OpenVendorArchive."""
    planned = plan.segments
    if plan.facts.get(KEPT_BY) != _WALG and not any(_is_kept_there(one) for one in planned):
        return None
    made = replace(
        plan,
        segments=tuple(named_segment(name) for name in segments) if segments else planned,
        facts={**plan.facts, KEPT_BY: _WALG},
    )
    manifest = base.manifest
    files = WalgFiles(
        open_program=lambda: _open([manifest], options=options, host=host),
        segment_size=segment_size_of(manifest),
        clock=host.clock,
    )
    return WalgReader(made, files=files)


@t.final
class WalgReader:
    """Reads planned segments out of WAL-G's storage; safe to use from several threads."""

    def __init__(self, plan: RecoveryPlan, *, files: WalgFiles) -> None:
        self._plan = plan
        self._files = files

    @property
    def plan(self) -> RecoveryPlan:
        """What was planned."""
        return self._plan

    def fetch(self, segment: StoredSegment, path: str) -> None:
        """Whole, of a segment's size, or not at all; see :meth:`.walg_program.WalgProgram.fetch_wal`."""
        self._files.fetch(segment.segment.name, path)

    def check(self) -> None:
        """That each planned segment is listed. Their bytes are WAL-G's to check, when they are fetched.

        Raises RecoveryTargetUnreachable naming the first that is not, and what asking WAL-G raises.
        """
        stored = self._files.program.timelines()
        for one in self._plan.segments:
            name = one.segment.name
            if is_segment_name(name) and not any(timeline.has(name) for timeline in stored):
                raise RecoveryTargetUnreachable(
                    f"{name} is not in WAL-G's storage any more.",
                    hint="Plan again; see what can be reached: lifeboat windows",
                    details={"segment": name},
                )


# --- the storages ----------------------------------------------------------------------------------------------------


def _by_storage(bases: t.Sequence[Backup]) -> dict[tuple[str, str], list[Manifest]]:
    """The manifests of WAL-G's backups by where they say that their data is and of which cluster, the newest first."""
    found: dict[tuple[str, str], list[Manifest]] = {}
    for base in sorted(bases, key=lambda one: one.manifest.finished, reverse=True):
        manifest = base.manifest
        if is_walg(manifest):
            with contextlib.suppress(LifeboatError):  # who plans says that such a manifest is passed over
                key = (str(walg_facts(manifest).get("storage")), str(manifest.content.get("system_identifier")))
                found.setdefault(key, []).append(manifest)
    return found


def _open(manifests: t.Sequence[Manifest], *, options: t.Mapping[str, t.Any], host: Host) -> WalgProgram:
    """The program, and that its storage is the one with these backups: one of them must be there."""
    first: LifeboatError | None = None
    chosen = _options(options)
    for manifest in manifests:
        try:
            return open_walg(manifest, options=chosen, account=server_account(), runner=host.runner)
        except LifeboatError as error:
            first = first or error
    if first is None:
        raise AssertionError("nothing names the storage")
    raise first


def _options(options: t.Mapping[str, t.Any]) -> WalgOptions | None:
    given = options.get("walg")
    return walg_options(given, keys=RESTORE_KEYS) if given else None


def _is_kept_there(stored: StoredSegment) -> bool:
    return stored.segment.facts.get(KEPT_BY) == _WALG


# --- the stream ------------------------------------------------------------------------------------------------------


def _stream(manifests: t.Sequence[Manifest], *, program: WalgProgram, host: Host) -> Stream:
    manifest = manifests[0]
    lineage = str(manifest.content["system_identifier"])
    series = Series(service=manifest.service, source=manifest.source, kind="wal")
    problems: list[LifeboatError] = []
    segments: list[StoredSegment] = []
    with _work_folder(program) as folder:
        size = segment_size_of(manifest)
        files = WalgFiles(open_program=lambda: program, segment_size=size, clock=host.clock)
        looking = _Looking(files=files, folder=folder, lineage=lineage, segment_size=size)
        for timeline in program.timelines():
            try:
                segments += looking.files_of(timeline)
            except LifeboatError as error:
                problems.append(error)
                segments += [named_segment(name) for name in looking.names(timeline)]
    kept = tuple(_marked(one) for one in segments)
    return Stream(folder=StreamFolder(series=series, lineage=lineage), segments=kept, problems=tuple(problems))


class _Looking:
    """Looks into the files at the ends of timelines."""

    def __init__(self, *, files: WalgFiles, folder: str, lineage: str, segment_size: int) -> None:
        self._files = files
        self._folder = folder
        self._lineage = lineage
        self._size = segment_size

    def names(self, timeline: StoredTimeline) -> list[str]:
        """Of the segments that there are, in order."""
        between = segments_between(timeline.first, timeline.last, segment_size=self._size)
        return [name for name in between if name not in timeline.missing]

    def files_of(self, timeline: StoredTimeline) -> list[StoredSegment]:
        """Its history, and its segments: with facts where they were looked into."""
        names = self.names(timeline)
        facts: dict[str, t.Mapping[str, t.Any]] = {}
        for name in reversed(names[-_LOOK_BACK:]):
            with self._fetched(name) as path:
                facts[name] = self._facts(name, path)
            if facts[name].get("last_commit"):
                break
        segments = [named_segment(name, facts=facts.get(name)) for name in names]
        return [*self._history(timeline, names), *segments]

    def _history(self, timeline: StoredTimeline, names: t.Sequence[str]) -> list[StoredSegment]:
        if timeline.timeline == 1:
            return []
        name = history_name(timeline.timeline)
        with self._fetched(name) as path, open(path, "rb") as file:
            try:
                history = parse_history(file.read(), timeline=timeline.timeline)
            except ValueError as error:
                raise self._unusable(name, str(error)) from error
        facts = {"timeline": timeline.timeline, "history": history.as_facts()}
        made = named_segment(name, facts=facts)
        description = replace(made.segment.description, ends=self._begun(history, names))
        return [replace(made, segment=replace(made.segment, description=description))]

    def _begun(self, history: TimelineHistory, names: t.Sequence[str]) -> datetime.datetime | None:
        """The first commit that is its own: it was begun before. None where none was found near its beginning.

        A later time than the true one claims less for it, never more.
        """
        switch = segment_name(timeline=history.timeline, number=history.begins // self._size, segment_size=self._size)
        for name in names[:_LOOK_BACK]:
            if name < switch:
                continue
            with self._fetched(name) as path:
                try:
                    found = commits_behind(path, history.begins % self._size if name == switch else 0)
                except WalDamaged as error:
                    raise self._unusable(name, str(error)) from error
            if found is not None:
                return found
        return None

    def _facts(self, name: str, path: str) -> t.Mapping[str, t.Any]:
        entry = SpoolEntry(name=name, path=path, size=os.path.getsize(path), modified=_EPOCH)
        try:
            _lineage, description = describe_wal(entry, lineage=self._lineage, before=None, thorough=True)
        except StreamSegmentRefused as error:
            raise self._unusable(name, str(error.details.get("reason"))) from error
        return description.facts

    def _unusable(self, name: str, reason: str) -> WalgArchiveBroken:
        return WalgArchiveBroken(
            f"{name} in WAL-G's storage can't be used: {reason}. How far its timeline reaches is not known.",
            hint=f"Look at it: {self._files.program.path} wal-fetch {name} /tmp/{name}; pg_waldump /tmp/{name}",
            details={"segment": name},
        )

    @contextlib.contextmanager
    def _fetched(self, name: str) -> t.Iterator[str]:
        """One file of the archive, gone afterwards."""
        path = os.path.join(self._folder, name)
        self._files.fetch(name, path)
        try:
            yield path
        finally:
            os.unlink(path)


@contextlib.contextmanager
def _work_folder(program: WalgProgram) -> t.Iterator[str]:
    """A folder that the account of the server can write."""
    with tempfile.TemporaryDirectory(prefix="lifeboat-wal-") as folder:
        if program.account is not None:
            entry = pwd.getpwnam(program.account)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        yield folder


def _marked(stored: StoredSegment) -> StoredSegment:
    description = stored.segment.description
    facts = {**description.facts, KEPT_BY: _WALG}
    return replace(stored, segment=replace(stored.segment, description=replace(description, facts=facts)))
