# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing what was loaded forward to a moment: the planned slices of the oplog, replayed under staging names."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from ..core.errors import LifeboatError, RecoveryEndedEarly
from ..core.progress import Progress
from ..recovery.recovery_planner import SegmentReader
from ..recovery.steps import Facts, Step
from .collection_making import WRITE_CONCERN
from .faults import named_faults
from .load_finish import build_indexes, set_ages, target_views
from .load_plans import plans_from_json
from .namespace_map import NamespaceMap
from .oplog_commands import STREAM, MakeDirect
from .oplog_replay import OplogReplay, ReplayReport, ReplaySettings
from .oplog_skips import parse_skip
from .recovery_slices import SliceFeed, forget_slices, slice_folder
from .restore_check import arrived
from .restore_commands import NAMESPACE_EXISTS
from .restore_direct import make_one, noted, remove
from .restore_load import final_name
from .restore_session import RestoreSession
from .restore_views import noted_view
from .timestamps import Position, position_from_text, position_text

if t.TYPE_CHECKING:
    from .connection import Client


@dataclass(frozen=True)
class Forward:
    """One replay of planned slices onto what was loaded. *loaded* is what loading noted (its ``plans``, ``late``,
    ``anew`` and ``oplog``); *names* is where it went. *folder* is for the slices on their way.
    """

    client: Client
    reader: SegmentReader
    names: NamespaceMap
    loaded: t.Mapping[str, t.Any]
    users_into: str | None
    users_of: frozenset[str] | None
    threads: int
    folder: str
    make_direct: MakeDirect
    progress: Progress

    def run(self) -> dict[str, t.Any]:
        """Replay to the target, then build indexes; facts for the ledger: ``replayed``, ``skipped``, ``gone`` and
        ``views`` (database, name on the target, options).

        Raises RecoveryEndedEarly, MongoOplogNotReplayable, and what fetching and the server raise; a part is applied
        then, and what was loaded is of no use any more.
        """
        self.names.late.update(self.loaded["late"])
        self.names.anew.update(self.loaded["anew"])
        self._make_people()
        replay = OplogReplay(
            client=self.client,
            names=self.names,
            users_into=self.users_into,
            make_direct=self.make_direct,
            settings=self._settings(),
            plans=plans_from_json(self.loaded["plans"]),
        )
        try:
            for full_name in self.reader.plan.facts.get("outside", ()):
                replay.forgive(str(full_name))
            self._feed(replay)
            report = replay.finish()
        finally:
            replay.close()
        self._require_reached(replay, report)
        self.progress.stage("building indexes")
        build_indexes(self.client, replay.indexes, names=self.names, threads=self.threads)
        set_ages(self.client, replay.indexes, names=self.names)
        return {
            "replayed": {**report.as_dict(), "missed": report.missed},
            "skipped": replay.skips.as_dict(),
            "gone": list(replay.gone),
            "views": target_views(replay.views, names=self.names),
        }

    @property
    def _stop(self) -> Position:
        return position_from_text(str(self.reader.plan.facts["stop"]))

    def _settings(self) -> ReplaySettings:
        plan, oplog = self.reader.plan, self.loaded["oplog"]
        after = position_from_text(str(plan.facts["base"]))
        if oplog is not None and oplog["end"] is not None:
            # The archive's own oplog has brought it exactly there; mongodump's manifest knows only about when.
            after = (int(oplog["end"]["t"]), int(oplog["end"]["i"]))
        return ReplaySettings(
            after=after,
            stop=self._stop,
            skip=tuple(parse_skip(text) for text in plan.target.skip),
            exact=True,
            users_of=self.users_of,
            origin=STREAM,
        )

    def _feed(self, replay: OplogReplay) -> None:
        self.progress.stage("replaying the oplog")
        feed = SliceFeed(self.reader, folder=self.folder)
        with contextlib.closing(feed.slices()) as slices:
            for _facts, pieces in slices:
                replay.begin_piece()
                with contextlib.closing(pieces):
                    for entries in pieces:
                        replay.take_entries(entries)
                        self.progress.add(done=sum(map(len, entries)))

    def _make_people(self) -> None:
        """The backup may have had no users, and the oplog makes some."""
        if self.users_into is None:
            return
        for kind in ("users", "roles"):
            command = {"create": f"{self.users_into}.{kind}", "writeConcern": dict(WRITE_CONCERN)}
            try:
                with named_faults("Making a collection in admin", role="restore"):
                    self.client.admin.command(command)
            except LifeboatError as error:
                if error.details.get("server_code") != NAMESPACE_EXISTS:
                    raise

    def _require_reached(self, replay: OplogReplay, report: ReplayReport) -> None:
        """Everything before the stop was read, and everything that was to be left out was met."""
        plan, stop = self.reader.plan, self._stop
        last = report.end or position_from_text(str(plan.facts["base"]))
        if plan.segments and not replay.reached and (last[0], last[1] + 1) < stop:
            raise RecoveryEndedEarly(
                f"The slices end at {position_text(last)}, before the target {position_text(stop)}.",
                hint="Recover to an earlier moment: lifeboat windows",
                details={"last": position_text(last), "stop": position_text(stop)},
            )
        if replay.skips.missing:
            raise RecoveryEndedEarly(
                f"There is no operation at {replay.skips.missing[0]}, which was to be left out.",
                hint="See where it is: lifeboat find-damage",
                details={"missing": list(replay.skips.missing)},
            )


class ReplayStep:
    """The replay as a step of a restore, behind the load.

    *map_names* says where the load put things; *only* is the one database of the backup, None: all. *load_again* drops
    what was loaded, loads and compares it again; it is given the facts of the load and returns new ones.
    """

    def __init__(
        self,
        *,
        session: RestoreSession,
        reader: SegmentReader,
        map_names: t.Callable[[], NamespaceMap],
        only: str | None,
        load_again: t.Callable[[Facts], Facts],
        progress: Progress,
    ) -> None:
        self._session = session
        self._reader = reader
        self._map_names = map_names
        self._only = only
        self._load_again = load_again
        self._progress = progress
        self._is_first = False

    def step(self, *, name: str, loaded: t.Callable[[], Facts]) -> Step:
        """*loaded* are the facts of the load."""
        plan = self._reader.plan
        title = f"Replay {len(plan.segments)} slices of the oplog up to {plan.target.text}, then build indexes"
        return Step(name=name, title=title, plan=self._plan, do=lambda _facts: self._do(loaded()), undo=self._undo)

    def _plan(self) -> Facts:
        # Called right before the first attempt and never again.
        self._is_first = True
        return {}

    def _do(self, loaded: Facts) -> Facts:
        """Replay onto what was loaded. Where another process has begun to, everything is loaded anew before.

        Half an oplog can't be told from the whole of it, and replaying onto a later state is not the same.
        """
        session, names = self._session, self._session.names
        if not self._is_first:
            self._progress.stage("loading the backup again, for a replay was begun")
            loaded = self._load_again(loaded)
        made = dict(loaded["made"])
        with session.change() as client, slice_folder(session.context.state, names.restore_id) as folder:

            def make_direct(database: str, name: str, definition: t.Mapping[str, t.Any]) -> None:
                made[f"{database}.{name}"] = make_one(client, database, name, definition, names=names)

            forward = Forward(
                client=client,
                reader=self._reader,
                names=self._map_names(),
                loaded=loaded,
                users_into=names.people if session.options.users_and_roles else None,
                users_of=self._users_of(),
                threads=session.options.parallel,
                folder=folder,
                make_direct=make_direct,
                progress=self._progress,
            )
            came = forward.run()
            there = arrived(client, made, names=names)
        views = [noted_view(database, final_name(name, names), view) for database, name, view in came.pop("views")]
        return {**came, **there, "views": views}

    def _undo(self, facts: Facts) -> None:
        made, names = facts.get("made", {}), self._session.names
        with self._session.change() as client:
            remove(client, sorted(made), known=made, names=names)
            # Of a replay that did not end the UUIDs are in no notes of ours.
            remove(client, noted(client, names), known={}, names=names)
        forget_slices(self._session.context.state, names.restore_id)

    def _users_of(self) -> frozenset[str] | None:
        if self._session.options.databases:
            return frozenset(self._session.options.databases)
        return None if self._only is None else frozenset((self._only,))
