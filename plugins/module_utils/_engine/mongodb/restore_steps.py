# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a restore, each with its way back."""

from __future__ import annotations

import typing as t

from ..core.errors import RestoreTargetInvalid
from ..core.progress import Progress
from ..recovery.payload_source import PayloadSource
from ..recovery.recovery_planner import SegmentReader
from ..recovery.steps import Facts, Step
from .load_finish import AGE
from .namespace_map import NamespaceMap
from .noted_content import NotedContent, noted_content
from .restore_check import check_loaded
from .restore_commands import drop_empty, drop_own
from .restore_direct import make, make_one, note_coming, noted, remove, require_absent
from .restore_exchange import Exchange, pair
from .restore_load import Load, read_prelude
from .restore_options import ASIDE
from .restore_people import forget_kept, forget_loaded, keep_people, put_in_force, take_back
from .restore_replay import ReplayStep
from .restore_selection import (
    DIRECT,
    RestoreSelection,
    namespace_map,
    recovery_map,
    require_all,
    select_items,
    wanted_of,
)
from .restore_session import RestoreSession
from .restore_target import existing_in, read_target
from .restore_views import make_views, noted_view, remove_views

if t.TYPE_CHECKING:
    from .connection import Client

#: The names of the steps: they are looked up in ledgers.
LOAD, CHECK, CLEAR, EXCHANGE, VIEWS = "load", "check", "remove views", "exchange", "make views"
REPLAY = "replay"
KEEP_PEOPLE, PEOPLE, TIDY = "keep users", "users and roles", "tidy"


class RestoreSteps:
    """The steps of one restore."""

    def __init__(self, session: RestoreSession, *, source: PayloadSource, progress: Progress) -> None:
        self._session = session
        self._options = session.options
        self._names = session.names
        self._source = source
        self._progress = progress
        self._noted: NotedContent = noted_content(source.manifest)

    def all(self) -> list[Step]:
        """In order. Their names are the same for all restores with and all without users, with and without a replay."""
        options, names = self._options, self._names
        databases = self._databases()
        kept = f"; what has them now is kept as {names.before}*" if options.in_place else ""
        return [
            Step(
                name=LOAD,
                title=f"Load the backup into {', '.join(databases) or 'admin'}, as {names.staging}*",
                plan=self._plan_load,
                do=self._load,
                undo=self._unload,
            ),
            Step(
                name=CHECK,
                title="Compare what was loaded with what was dumped",
                do=self._check,
                undo=_nothing,
            ),
            *(() if self._segments is None else (self._forward(self._segments),)),
            Step(
                name=CLEAR,
                title="Remove views that are in the way, with their definitions noted",
                plan=self._plan_views,
                do=lambda facts: self._change(lambda client: remove_views(client, facts["views"])),
                undo=lambda facts: self._change(lambda client: make_views(client, facts.get("views", ()), names=names)),
            ),
            Step(
                name=EXCHANGE,
                title=f"Rename what was loaded to its own names{kept}",
                plan=self._plan_exchange,
                do=lambda facts: self._change(lambda client: Exchange(client, names).forth(facts["pairs"])),
                undo=lambda facts: self._change(lambda client: Exchange(client, names).back(facts.get("pairs", ()))),
            ),
            Step(
                name=VIEWS,
                title="Make the views",
                plan=lambda: {"views": self._arrived()["views"]},
                do=lambda facts: self._change(lambda client: make_views(client, facts["views"], names=names)),
                undo=lambda facts: self._change(lambda client: remove_views(client, facts.get("views", ()))),
            ),
            *(self._people() if options.users_and_roles else ()),
            Step(
                name=TIDY,
                title="Remove what the restore needed for itself",
                do=lambda _facts: self._change(self._tidy),
                undo=_nothing,
            ),
        ]

    @property
    def _segments(self) -> SegmentReader | None:
        return self._session.context.segments

    def _forward(self, reader: SegmentReader) -> Step:
        def load_again(loaded: Facts) -> Facts:
            again = self._load(loaded)
            with self._session.change() as client:
                self._compare(client, again)
            return again

        return ReplayStep(
            session=self._session,
            reader=reader,
            map_names=lambda: self._map(self._select()),
            only=self._noted.database,
            load_again=load_again,
            progress=self._progress,
        ).step(name=REPLAY, loaded=lambda: self._session.facts(LOAD))

    def _people(self) -> list[Step]:
        names = self._names
        return [
            Step(
                name=KEEP_PEOPLE,
                title="Keep a copy of the users and roles that are there under the backup's names",
                do=self._keep_people,
                undo=lambda _facts: self._change(lambda client: forget_kept(client, names)),
            ),
            Step(
                name=PEOPLE,
                title="Put the backup's users and roles in force",
                do=lambda _facts: self._change(lambda client: put_in_force(client, self._kept(), names)),
                undo=lambda _facts: self._change(lambda client: take_back(client, self._kept(), names)),
            ),
        ]

    def _plan_load(self) -> Facts:
        direct = self._select().of(DIRECT)
        with self._session.change() as client:
            require_absent(client, direct)
        return {"direct": [item.full_name for item in direct]}

    def _map(self, selection: RestoreSelection) -> NamespaceMap:
        if self._segments is None:
            return namespace_map(selection, self._options, self._names)
        return recovery_map(selection, self._options, self._names, noted=self._noted)

    def _load(self, facts: Facts) -> Facts:
        selection, names = self._select(), self._names
        direct = [item for item in selection.of(DIRECT) if item.full_name in facts["direct"]]
        with self._session.change() as client:
            target = read_target(client)
            tool = self._session.tool(target)
            # What a run left that died.
            remove(
                client, [full for full in noted(client, names) if full not in facts["direct"]], known={}, names=names
            )
            drop_own(client, names, prefixes=[names.staging])
            forget_loaded(client, names)
            made: dict[str, str | None] = {}
            if tool is None:
                made = make(client, direct, names=names, without=(AGE,) if self._segments is not None else ())
            else:
                note_coming(client, direct, names=names)

            def make_direct(database: str, name: str, definition: t.Mapping[str, t.Any]) -> None:
                made[f"{database}.{name}"] = make_one(client, database, name, definition, names=names)

            load = Load(
                client=client,
                source=self._source,
                selection=selection,
                options=self._options,
                names=names,
                host=self._session.host,
                progress=self._progress,
                program="" if tool is None else tool.program,
                make_direct=make_direct,
                map=self._map(selection),
                finish=self._segments is None,
            )
            loaded = load.run()
            if tool is not None:
                made = {item.full_name: existing_in(client, item.database)[item.name].uuid for item in direct}
        return {**loaded, "made": made, "account": target.account}

    def _unload(self, facts: Facts) -> None:
        names = self._names
        with self._session.change() as client:
            made = facts.get("made", {})
            # What an oplog made is in no plan; it is noted beside it.
            direct = {*facts.get("direct", ()), *made, *noted(client, names)}
            remove(client, sorted(direct), known=made, names=names)
            drop_own(client, names, prefixes=[names.staging, names.marks])
            forget_loaded(client, names)
            drop_empty(client, self._databases())

    def _check(self, _facts: Facts) -> Facts:
        with self._session.change() as client:
            return self._compare(client, self._session.facts(LOAD))

    def _compare(self, client: Client, loaded: Facts) -> dict[str, t.Any]:
        return check_loaded(
            client,
            loaded,
            noted=self._noted,
            options=self._options,
            names=self._names,
            indexes_come_later=self._segments is not None,
        )

    def _arrived(self) -> dict[str, t.Any]:
        """What is to take its names: ``staged``, ``made`` and ``views``; after a replay that of the replay."""
        if self._segments is not None:
            return self._session.facts(REPLAY)
        load = self._session.facts(LOAD)
        return {"staged": self._session.facts(CHECK)["staged"], "made": load["made"], "views": load["views"]}

    def _plan_views(self) -> Facts:
        views = []
        with self._session.change() as client:
            for database, wanted in self._wanted_names().items():
                views += [
                    noted_view(database, found.name, found.options)
                    for found in existing_in(client, database).values()
                    if found.type == "view" and (found.name in wanted or self._options.others == ASIDE)
                ]
        if views and not self._options.in_place:
            raise _appeared(f"{views[0]['database']}.{views[0]['name']}")
        return {"views": views}

    def _plan_exchange(self) -> Facts:
        came = self._arrived()
        staged, direct = came["staged"], came["made"]
        pairs = []
        with self._session.change() as client:
            for database, wanted in self._wanted_names().items():
                there = existing_in(client, database)
                for name in sorted(wanted):
                    new, found = staged.get(database, {}).get(name), there.get(name)
                    if f"{database}.{name}" in direct or (new is None and found is None):
                        continue
                    if found is not None and not self._options.in_place:
                        raise _appeared(found.full_name)
                    pairs.append(pair(database, name, new=new, old=None if found is None else found.uuid))
                if self._options.others == ASIDE:
                    pairs += [
                        pair(database, found.name, new=None, old=found.uuid)
                        for found in there.values()
                        if found.name not in wanted and found.can_be_renamed and not self._names.is_own(found.name)
                    ]
        return {"pairs": pairs}

    def _keep_people(self, _facts: Facts) -> Facts:
        with self._session.change() as client:
            return keep_people(client, self._names, account=self._session.facts(LOAD)["account"])

    def _kept(self) -> Facts:
        return self._session.facts(KEEP_PEOPLE)

    def _tidy(self, client: Client) -> None:
        drop_own(client, self._names, prefixes=[self._names.marks])
        forget_loaded(client, self._names)

    def _change(self, action: t.Callable[[Client], None]) -> None:
        with self._session.change() as client:
            action(client)

    def _select(self) -> RestoreSelection:
        prelude = read_prelude(self._source, progress=self._session.progress())
        selection = select_items(prelude, self._noted, self._options)
        # What a recovery's oplog has to make was looked up by the inspection, and the exchange takes what is there.
        return selection if self._segments is not None else require_all(selection, prelude, self._options)

    def _databases(self) -> list[str]:
        """The databases of the target, by the manifest."""
        options = self._options
        return sorted({options.database(database) for database, _name in wanted_of(self._noted, options)})

    def _wanted_names(self) -> dict[str, set[str]]:
        """Every name that something of the backup takes, by database: collections, time series and views."""
        came = self._arrived()
        found = {database: set(names) for database, names in came["staged"].items()}
        for full in came["made"]:
            database, _dot, name = full.partition(".")
            found.setdefault(database, set()).add(name)
        for view in came["views"]:
            found.setdefault(view["database"], set()).add(view["name"])
        return found


def _nothing(_facts: Facts) -> None:
    """The way back from a look."""


def _appeared(full: str) -> RestoreTargetInvalid:
    return RestoreTargetInvalid(
        f"{full} was not there when the restore began, and is now.",
        hint="Restore beside, under another name (suffix: _recovery), or replace what is there: in_place: true.",
        details={"collection": full},
    )
