# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replaying WAL onto an unpacked base backup, up to the target and no further, before anything is replaced by it.

The server runs on the folder in which the cluster is made, cut off from everything, and shuts down at the target. Only
when its own words and its control file say that it came there, the recovery goes on.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import typing as t

from ..core.durable import fsync_folder
from ..core.errors import PostgresTablespaceInWal, RecoveryEndedEarly
from ..core.host import Host
from ..core.progress import Progress
from ..recovery.recovery_planner import SegmentReader
from ..recovery.recovery_target import RecoveryTarget
from .base_folder import control_settings
from .base_label import BackupLabel
from .cluster_configuration import ask_for_recovery, begin_recovery, end_recovery
from .names import parse_lsn
from .programs import ServerPrograms
from .recovery_end import last_record
from .recovery_log import RecoveryStop, ended_before_target, is_target, read_stop
from .recovery_server import ReplayServer, end_left_behind
from .recovery_settings import end_target, final_settings, replay_settings
from .recovery_timelines import put_histories
from .server_state import severe_lines
from .tablespace_wal import refuse_segment
from .timeline_history import parse_history
from .wal_fetcher import WalFetcher
from .wal_names import HISTORY, SEGMENT, format_lsn, parse_wal_name
from .wal_page import WalDamaged
from .wal_restore_script import restore_command, write_restore_script

if t.TYPE_CHECKING:
    from ..streams.stream import StoredSegment

_SHUT_DOWN = "shut down in recovery"
_REPLAYED = "Minimum recovery ending location"
_SUFFIX = ".replaying"
# From so many segments' ends on nobody looks for the last record any more.
_MOST_ENDS = 64


class Replay:
    """One replay in *folder*, the unpacked cluster. *taken* are histories, by number, that no repository has yet."""

    def __init__(
        self,
        *,
        folder: str,
        segments: SegmentReader,
        programs: ServerPrograms,
        host: Host,
        progress: Progress,
        taken: t.Mapping[int, bytes] | None = None,
    ) -> None:
        self._taken = taken or {}
        self._folder = folder
        self._segments = segments
        self._programs = programs
        self._host = host
        self._progress = progress
        self._work = folder + _SUFFIX
        self._plan = segments.plan
        self._begins = 0
        of_kind: dict[str, list[StoredSegment]] = {HISTORY: [], SEGMENT: []}
        for one in self._plan.segments:
            name = parse_wal_name(one.segment.name)
            if name is not None and name.what in of_kind:
                of_kind[name.what].append(one)
        self._histories, self._wal = of_kind[HISTORY], of_kind[SEGMENT]

    def run(self) -> dict[str, t.Any]:
        """Replay, and leave the cluster ready for its own start; what was reached, in JSON values.

        What an attempt that died has left is ended and removed first. Raises RecoveryEndedEarly.
        """
        self.remove()
        self._make_folder(self._work)
        try:
            control = self._control()
            self._begins = self._where_it_begins()
            end_recovery(self._folder, programs=self._programs)
            self._put_histories()
            target, stop = self._reach(control)
            reached = self._reached(target, stop)
            begin_recovery(
                self._folder,
                settings=final_settings(
                    target, timeline=self._timeline, action=self._plan.target.action, control=self._control()
                ),
                programs=self._programs,
            )
        finally:
            self.remove()
        return reached

    def remove(self) -> None:
        """End the server of an attempt that died, and remove what lies beside the cluster; none is fine."""
        end_left_behind(self._folder, clock=self._host.clock)
        if os.path.lexists(self._work):
            shutil.rmtree(self._work)

    # --- reaching the target ------------------------------------------------------------------------------------------

    @property
    def _timeline(self) -> str:
        return str(self._plan.facts["recovery_target_timeline"])

    def _reach(self, control: t.Mapping[str, str]) -> tuple[RecoveryTarget, RecoveryStop]:
        """Replay to the target; where the planned WAL ends before anything that lies behind it, to its last record."""
        target = self._plan.target
        may_end = bool(self._plan.facts.get("end_serves"))
        if target.kind != "latest":
            stop, said, is_end = self._replay(target, control)
            if stop is not None:
                return target, stop
            if not (is_end and may_end):
                raise self._not_reached(said)
        end = self._end()
        stop, said, _is_end = self._replay(end, control)
        if stop is None:
            raise self._not_reached(said)
        return end, stop

    def _where_it_begins(self) -> int:
        """Where the first start begins to replay: what is older in its segment is of no account."""
        try:
            with open(os.path.join(self._folder, "backup_label"), "rb") as file:
                label = BackupLabel.parse(file.read())
        except FileNotFoundError:  # a start before this one has taken it
            label = BackupLabel()
        return parse_lsn(label.start_lsn or str(self._plan.facts["begins"]))

    def _fetch(self, one: StoredSegment, path: str) -> None:
        """Fetch a segment for the server, and keep it from him when replaying it would write elsewhere."""
        self._segments.fetch(one, path)
        parsed, target = parse_wal_name(one.segment.name), self._plan.target
        if parsed is not None and parsed.what == SEGMENT:
            try:
                refuse_segment(
                    path,
                    name=one.segment.name,
                    begins=self._begins,
                    ends=parse_lsn(target.value) if target.kind == "lsn" else None,
                    programs=self._programs,
                    runner=self._host.runner,
                )
            except PostgresTablespaceInWal:
                os.unlink(path)
                raise

    def _replay(
        self, target: RecoveryTarget, control: t.Mapping[str, str]
    ) -> tuple[RecoveryStop | None, list[str], bool]:
        """One start: where it stopped (None: not at the target), its severe words, whether the WAL ended before."""
        attempt = tempfile.mkdtemp(prefix="attempt-", dir=self._work)
        self._own(attempt)
        cache, script, log = (os.path.join(attempt, name) for name in ("cache", "fetch-wal", "server.log"))
        self._make_folder(cache)
        write_restore_script(script)
        ask_for_recovery(self._folder, programs=self._programs)
        fetcher = WalFetcher(
            cache=cache,
            planned=self._wal,
            others=self._histories,
            fetch=self._fetch,
            clock=self._host.clock,
            journal=self._host.journal,
            segment_size=int(self._plan.facts["segment_size"]),
        )
        server = ReplayServer(
            data_directory=self._folder,
            configuration=attempt,
            log=log,
            settings=replay_settings(
                target,
                timeline=self._timeline,
                restore_command=restore_command(script=script, cache=cache),
                control=control,
            ),
            programs=self._programs,
            clock=self._host.clock,
        )
        with fetcher, server:
            taken = 0

            def tell() -> None:
                nonlocal taken
                if fetcher.taken > taken:
                    self._progress.add(done=(fetcher.taken - taken) * int(self._plan.facts["segment_size"]))
                    taken = fetcher.taken

            server.wait(tell=tell)
            problem = fetcher.problem
        with open(log, encoding="utf-8", errors="replace") as lines:
            stop = read_stop(lines)
        with open(log, encoding="utf-8", errors="replace") as lines:
            is_end = ended_before_target(lines)
        said = severe_lines(log)
        if stop is None and isinstance(problem, PostgresTablespaceInWal):
            raise problem
        if problem is not None:
            said.append(f"WAL could not be fetched: {problem}")
        state = self._control().get("Database cluster state")
        if stop is None or state != _SHUT_DOWN or not is_target(stop, target):
            return None, [*said, *([stop.words] if stop is not None else [])], is_end
        return stop, said, is_end

    def _end(self) -> RecoveryTarget:
        """The last record of the planned WAL as a target."""
        folder = tempfile.mkdtemp(prefix="end-", dir=self._work)

        def paths() -> t.Iterator[str]:
            for one in self._wal[: -_MOST_ENDS - 1 : -1]:
                path = os.path.join(folder, one.segment.name)
                self._segments.fetch(one, path)
                yield path
                os.unlink(path)
            if not self._wal:
                # Nothing was archived behind the backup: its own WAL is all there is.
                base = int(self._plan.facts["base_timeline"])
                wal = os.path.join(self._folder, "pg_wal")
                for name in sorted(os.listdir(wal), reverse=True):
                    parsed = parse_wal_name(name)
                    if parsed is not None and parsed.what == SEGMENT and parsed.timeline == base:
                        yield os.path.join(wal, name)

        try:
            position = last_record(paths())
        except (WalDamaged, OSError) as error:
            raise self._not_reached([f"the end of the WAL can't be read: {error}"]) from error
        if position is None:
            raise self._not_reached(["no record was found at the end of the stored WAL"])
        return end_target(position)

    # --- what was reached ---------------------------------------------------------------------------------------------

    def _reached(self, target: RecoveryTarget, stop: RecoveryStop) -> dict[str, t.Any]:
        control = self._control()
        position = control.get(_REPLAYED, "0/0")
        begins = str(self._plan.facts["begins"])
        if parse_lsn(position) < parse_lsn(begins):
            raise self._not_reached([f"it came to {position}, and the backup is consistent from {begins} on"])
        return {
            "target": self._plan.target.as_dict(),
            "served_as": target.as_dict(),
            "stop": stop.as_dict(),
            "lsn": format_lsn(parse_lsn(position)),
            "timeline": int(control.get("Min recovery ending loc's timeline", "0") or 0),
            "is_end": target != self._plan.target,
        }

    def _not_reached(self, said: t.Sequence[str]) -> RecoveryEndedEarly:
        plan = self._plan
        words = said[-1] if said else "the server said nothing"
        looked = f"{plan.facts.get('first_segment')} to {plan.facts.get('last_segment')}"
        return RecoveryEndedEarly(
            f"The recovery did not reach its target {plan.target.text} in the WAL from {looked}: {words}",
            hint=(
                "Is it the right one? Look for it with pg_waldump, or name the time: lifeboat recover ... --to-time"
                if plan.target.kind in ("xid", "name")
                else "Look at what is stored: lifeboat windows   then recover again; nothing was replaced."
            ),
            details={"said": list(said), "target": plan.target.as_dict()},
        )

    # --- folders ------------------------------------------------------------------------------------------------------

    def _put_histories(self) -> None:
        """Into pg_wal, so that no later start takes the number of a timeline that there was."""
        wal = os.path.join(self._folder, "pg_wal")
        for one in self._histories:
            path = os.path.join(wal, one.segment.name)
            if not os.path.lexists(path):
                self._segments.fetch(one, path)
                os.chmod(path, 0o600)
                self._programs.own(path)
        put_histories(self._folder, self._taken, programs=self._programs)
        fsync_folder(wal)

    def _control(self) -> dict[str, str]:
        return control_settings(self._folder, programs=self._programs, runner=self._host.runner)

    def _make_folder(self, path: str) -> None:
        os.mkdir(path, 0o700)
        self._own(path)

    def _own(self, path: str) -> None:
        self._programs.own(path)


def replayed_position(folder: str, *, programs: ServerPrograms, host: Host) -> str:
    """How far a cluster that was shut down in recovery had come, by its control file."""
    return control_settings(folder, programs=programs, runner=host.runner).get(_REPLAYED, "0/0")


def begun_timeline(folder: str, *, at: str) -> int:
    """The timeline that a promoted cluster has begun. Raises RecoveryEndedEarly when it did so elsewhere than *at*."""
    wal = os.path.join(folder, "pg_wal")
    names = (parse_wal_name(name) for name in os.listdir(wal))
    newest = max((name for name in names if name is not None and name.what == HISTORY), key=lambda name: name.timeline)
    with open(os.path.join(wal, newest.name), "rb") as file:
        history = parse_history(file.read(), timeline=newest.timeline)
    if history.begins != parse_lsn(at):
        raise RecoveryEndedEarly(
            f"The restored cluster began timeline {newest.timeline} at {format_lsn(history.begins)}, and the replay "
            f"had come to {at}.",
            hint="It was not taken for done; look at its log, and recover again.",
            details={"timeline": newest.timeline, "began": format_lsn(history.begins), "replayed": at},
        )
    return newest.timeline
