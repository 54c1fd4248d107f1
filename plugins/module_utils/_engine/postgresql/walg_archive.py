# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WAL-G's archive as the segments of a recovery: on the timeline of the backup, without a hole, or not at all."""

from __future__ import annotations

import typing as t

from ..core.clock import Clock, format_time, parse_time
from ..core.errors import RecoveryTargetUnreachable, RequestInvalid, WalgArchiveBroken
from ..pipeline.producer import StoredPayload
from ..recovery.recovery_planner import RecoveryPlan
from ..recovery.recovery_target import RecoveryTarget, recovery_target_from
from ..streams.segment import Segment, SegmentDescription
from ..streams.stream import StoredSegment
from .names import parse_lsn
from .wal_names import USUAL_SEGMENT_SIZE, segments_between
from .walg_files import WalgFiles

if t.TYPE_CHECKING:
    from ..catalog.manifest import Manifest
    from .walg_program import WalgProgram

#: Where a recovery in WAL-G's archive can go.
TARGETS = ("time", "lsn", "xid", "name", "latest")


@t.final
class WalgSegments:
    """A SegmentReader over WAL-G's storage, for one backup and one target.

    *target* is known without asking anybody; *open_program* is called when the plan is wanted. The wrapper of
    restore_command gets what the plan names, and a file that can't be had is never the end of the archive to it.
    """

    def __init__(
        self,
        *,
        manifest: Manifest,
        recover_to: t.Mapping[str, t.Any],
        open_program: t.Callable[[], WalgProgram],
        clock: Clock,
    ) -> None:
        """Raises RecoveryTargetInvalid, RequestInvalid for what this archive is not asked for."""
        self.target = walg_target(manifest, recover_to, clock=clock)
        self._manifest = manifest
        self._files = WalgFiles(open_program=open_program, segment_size=segment_size_of(manifest), clock=clock)
        self._plan: RecoveryPlan | None = None

    @property
    def plan(self) -> RecoveryPlan:
        """From what the storage has now. Raises RecoveryTargetUnreachable and WalgArchiveBroken."""
        if self._plan is None:
            stored = next(
                (one for one in self._files.program.timelines() if one.timeline == self._timeline),
                None,
            )
            self._plan = walg_plan(
                self._manifest,
                self.target,
                last=stored.last if stored else "",
                missing=stored.missing if stored else frozenset(),
            )
        return self._plan

    def fetch(self, segment: StoredSegment, path: str) -> None:
        """Whole, of a segment's size, or not at all."""
        self._files.fetch(segment.segment.name, path)

    def check(self) -> None:
        """That the plan can be made; the bytes are WAL-G's to check when they are fetched."""
        if not self.plan.segments:
            raise RecoveryTargetUnreachable(
                "WAL-G's archive has nothing of this timeline.",
                hint="See what it has: wal-g wal-show. Without recover_to the backup restores alone.",
            )

    @property
    def _timeline(self) -> int:
        return int(self._manifest.content["timeline"])


def segment_size_of(manifest: Manifest) -> int:
    """Bytes of a segment, as the manifest notes it."""
    return int((manifest.content.get("wal") or {}).get("segment_size") or USUAL_SEGMENT_SIZE)


def walg_target(manifest: Manifest, recover_to: t.Mapping[str, t.Any], *, clock: Clock) -> RecoveryTarget:
    """The target, where it lies behind the end of the backup: before it PostgreSQL would pass over it silently."""
    target = recovery_target_from(recover_to, now=clock.now())
    content = manifest.content
    timeline = int(content["timeline"])
    if target.kind not in TARGETS:
        raise RequestInvalid(
            f"walg.recover_to takes {', '.join(TARGETS)}, and not {target.kind}.",
            hint="For the end of the backup leave recover_to out.",
        )
    if target.timeline not in ("", str(timeline)):
        raise RequestInvalid(
            f"The backup is of timeline {timeline}, and WAL-G's archive is followed on that one only; "
            f"{target.timeline} was asked for.",
            hint="Restore a backup of that timeline: lifeboat list shows them.",
        )
    end = str(content["end_lsn"])
    finished = parse_time(str((content.get("walg") or {}).get("finished") or content["finished"]))
    too_early = target.time is not None and target.time < finished
    if too_early or (target.kind == "lsn" and parse_lsn(target.value) < parse_lsn(end)):
        raise RecoveryTargetUnreachable(
            f"The target {target.text} lies before the end of this backup ({format_time(finished)}, {end}).",
            hint="Restore an older backup to that point: lifeboat list shows them.",
            details={"before": None, "after": format_time(finished)},
        )
    return target


def walg_plan(manifest: Manifest, target: RecoveryTarget, *, last: str, missing: t.Collection[str]) -> RecoveryPlan:
    """Every segment from the backup's first to the *last* of its timeline, or to the first hole. Pure.

    Raises WalgArchiveBroken when the backup's own WAL is not there, or when the end is wanted and there is a hole.
    """
    content = manifest.content
    wal = content["wal"]
    size = segment_size_of(manifest)
    first, needed = str(wal["first"]), str(wal["last"])
    names: list[str] = []
    hole = None
    for name in segments_between(first, max(last, needed), segment_size=size):
        if name in missing or name > last:
            hole = name
            break
        names.append(name)
    if hole is not None and (hole <= needed or target.kind == "latest"):
        raise WalgArchiveBroken(
            f"{hole} is not in WAL-G's storage, and there is WAL behind it or the backup needs it.",
            hint="Recover to a time before it (walg.recover_to.time), or restore another backup.",
            details={"segment": hole},
        )
    timeline = int(content["timeline"])
    warnings = (f"{hole} is missing in WAL-G's storage; what is behind it can't be reached.",) if hole else ()
    return RecoveryPlan(
        target=target,
        base=None,
        lineage=str(content["system_identifier"]),
        segments=tuple(named_segment(name) for name in names),
        why=(f"The backup {manifest.backup_id} was named, and WAL-G's archive is followed on timeline {timeline}.",),
        facts={
            "timeline": timeline,
            "base_timeline": timeline,
            "recovery_target_timeline": "current",
            "system_identifier": str(content["system_identifier"]),
            "segment_size": size,
            "first_segment": names[0] if names else None,
            "last_segment": names[-1] if names else None,
            "wal_segments": len(names),
            "wal_bytes": len(names) * size,
            "begins": str(content["end_lsn"]),
            # Nobody noted when what is archived was written, so the end is no answer to a time.
            "end_serves": False,
        },
        warnings=warnings,
    )


def named_segment(name: str, *, facts: t.Mapping[str, t.Any] | None = None) -> StoredSegment:
    """A segment that is not ours: nothing but its name is known, and what looking into it told."""
    payload = StoredPayload(
        name=name, media="WAL segment", size=0, sha256="", plain_size=None, compression=None, encryption=None
    )
    description = SegmentDescription(
        name=name, group="", media="WAL segment", begins=None, ends=None, facts=dict(facts or {})
    )
    # When it was stored nobody noted either.
    return StoredSegment(
        Segment(description=description, payload=payload, plain_sha256="", stored=parse_time("1970-01-01T00:00:00Z")),
        {},
    )
