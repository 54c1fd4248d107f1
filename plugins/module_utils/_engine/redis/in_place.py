# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup into the place of what a server holds now, in the order in which nothing can get lost.

Everything is fetched and checked before the server is stopped. Its memory is saved, then it is stopped, its files are
renamed, the new ones take their names, and it is started by the same means. Whatever fails, the renames are taken back.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import typing as t

from ..core.checksums import CRC64_REDIS, crc_function
from ..core.errors import LifeboatError, RedisUnreachable, RequestInvalid, RestoreIncomplete, RestoreNoSpace
from ..core.progress import Progress
from ..recovery.ledger import Ledger
from ..recovery.payload_source import PayloadSource
from ..recovery.restorer import Restoration, RestoreInspection, RestorerContext
from ..recovery.scratch import free_bytes
from ..recovery.steps import Facts, Step
from .comparing import LoadFigures, require_loaded
from .keeping import keep_memory, keep_what_came_since, release_memory
from .moving import aside_name, existing, kept_aside, move_aside, place, put_back, take_away
from .noted import Noted
from .restore_options import RedisRestoreOptions
from .restored_data import RestoredData
from .server_program import server_of
from .staging import hand_over, remove
from .target import Target, is_stopped_here, read_stopped_target, read_target
from .target_control import TargetControl
from .target_refusals import refuse_company, refuse_unfit_target, target_warnings

_LOOK, _FETCH, _KEEP, _STOP, _ASIDE, _PLACE, _START = "look", "fetch", "keep", "stop", "aside", "place", "start"


class InPlaceRestorer:
    """See :class:`recovery.restorer.Restorer`."""

    engine = "redis"

    def __init__(self, *, data: RestoredData, options: RedisRestoreOptions, context: RestorerContext) -> None:
        if options.service_control is None:
            raise RequestInvalid("A restore in place needs service_control.")
        self.kind = data.kind
        self._data = data
        self._options = options
        self._context = context
        self._host = context.host
        self._id = context.restore_id
        self._control = TargetControl(options=options, control=options.service_control, host=context.host)
        self._known: Target | None = None

    @property
    def target(self) -> str:
        """ "redis at 127.0.0.1:6379"."""
        return f"redis at {self._options.connection.address}"

    def inspect(self, *, source: PayloadSource | None) -> RestoreInspection:
        """See Restorer. Raises RedisFilesUnreachable, RestoreTargetInvalid, RestoreVersionMismatch, RestoreNoSpace,
        RedisClusterNode and the errors of the connection.
        """
        crc_function(CRC64_REDIS)
        noted = self._data.noted(source)
        if source is not None:
            source.require_key()
        target, warnings = self._look(noted)
        needed, free = self._space(target, noted)
        old = existing(target.directory, target.names)
        return RestoreInspection(
            facts={"target": target.as_dict(), "backup": noted.server, "keyspace": dict(noted.keyspace)},
            steps=tuple(title for _name, title in self._titles(target)),
            replaces=self.target,
            stops=(self._control.name,),
            moves=tuple(f"{target.path(name)} -> {target.path(aside_name(name, self._id))}" for name in old),
            needed_bytes=needed,
            free_bytes=free,
            versions=f"backup of {noted.server}, server {target.server}",
            warnings=tuple(warnings),
        )

    def steps(self, *, source: PayloadSource | None, progress: Progress) -> t.Sequence[Step]:
        """See Restorer."""
        noted = self._data.noted(source)
        titles = dict(self._titles(None))

        def step(
            name: str,
            do: t.Callable[[Facts], Facts | None],
            undo: t.Callable[[Facts], None] = _nothing,
            plan: t.Callable[[], Facts] = dict,
        ) -> Step:
            return Step(name=name, title=titles[name], do=do, undo=undo, plan=plan)

        return (
            step(_LOOK, lambda _facts: {"target": self._look_again(noted).as_dict()}),
            step(_FETCH, lambda _facts: self._fetch(source, noted, progress), self._unfetch, self._plan_fetch),
            step(_KEEP, self._keep, self._unkeep),
            step(_STOP, self._stop, self._unstop),
            step(_ASIDE, self._move_aside, self._put_back),
            step(_PLACE, self._place, self._take_away),
            step(_START, lambda _facts: self._start(noted), self._unstart),
        )

    def outcome(self, *, facts: t.Mapping[str, Facts]) -> Restoration:
        """See Restorer."""
        target = Target.from_dict(facts[_LOOK]["target"])
        return Restoration(
            content={name: facts[_START][name] for name in ("server", "keyspace", "keys_of_rdb")},
            where=self.target,
            connect=self._connect(),
            aside=tuple(kept_aside(target.directory, restore_id=self._id)),
        )

    def discard(self, *, facts: t.Mapping[str, Facts]) -> tuple[str, ...]:
        """See Restorer."""
        target = Target.from_dict(facts[_LOOK]["target"])
        return tuple(path for path in kept_aside(target.directory, restore_id=self._id) if remove(path))

    # --- looking -----------------------------------------------------------------------------------------------------

    def _look(self, noted: Noted) -> tuple[Target, list[str]]:
        warnings: list[str] = []
        if self._options.configuration_file is not None and is_stopped_here(
            self._options.connection, runner=self._host.runner
        ):
            target = read_stopped_target(
                self._options.connection,
                configuration_file=self._options.configuration_file,
                program=self._options.server_program or f"{noted.flavour}-server",
                runner=self._host.runner,
            )
        else:
            with contextlib.closing(self._open()) as client:
                target, facts = read_target(client)
                warnings += refuse_company(client, facts, allow_replicas=self._options.allow_replicas)
        refuse_unfit_target(target, noted, kind=self._data.form)
        return target, [*warnings, *target_warnings(target, noted)]

    def _look_again(self, noted: Noted) -> Target:
        target, _warnings = self._look(noted)
        needed, free = self._space(target, noted)
        if needed > free:
            raise RestoreNoSpace(
                f"{target.directory} has {free} bytes free, and about {needed} are needed.",
                hint="Free space there; the old data stays beside the new until it is discarded.",
                details={"needed": needed, "free": free},
            )
        self._known = target
        return target

    def _open(self) -> t.Any:
        try:
            return self._options.connection.open(runner=self._host.runner)
        except RedisUnreachable as error:
            raise RedisUnreachable(
                error.message,
                hint="Start the server; or, when it can't start, name its configuration_file (/etc/redis/redis.conf), "
                "which says where its data lies.",
                details=error.details,
            ) from error

    def _space(self, target: Target, noted: Noted) -> tuple[int, int]:
        """Bytes needed and free: the new data, and the memory that is saved before the stop."""
        saved = target.used_memory if target.running and not target.append_only else 0
        return noted.size + saved, free_bytes(target.directory)

    def _target(self) -> Target:
        """As it was noted in the first step, also in the process that finishes what another began."""
        if self._known is None:
            ledger = Ledger.load(state=self._context.state, clock=self._host.clock, restore_id=self._id)
            self._known = Target.from_dict(ledger.facts(_LOOK)["target"])
        return self._known

    # --- the steps ---------------------------------------------------------------------------------------------------

    def _titles(self, target: Target | None) -> list[tuple[str, str]]:
        address = self._options.connection.address
        where = f" in {target.directory}" if target is not None else ""
        return [
            (_LOOK, f"look at {address} once more"),
            (_FETCH, f"fetch and check the backup beside the old data{where}"),
            (_KEEP, f"save what {address} holds now"),
            (_STOP, f"stop {self._control.name}"),
            (_ASIDE, f"move the old data{where} aside"),
            (_PLACE, "put the restored data in its place"),
            (_START, f"start {self._control.name}, wait until it has loaded, and compare the counts"),
        ]

    def _staging(self) -> str:
        return self._target().path(f"lifeboat-restore-{self._id}")

    def _plan_fetch(self) -> Facts:
        return {"staging": self._staging()}

    def _fetch(self, source: PayloadSource | None, noted: Noted, progress: Progress) -> Facts:
        target, staging = self._target(), self._staging()
        places, facts = self._data.stage(
            source, noted, staging, target.persistence, program=self._program(target), progress=progress
        )
        hand_over(staging, user=target.user, group=target.group, mode=target.mode)
        return {**facts, "places": [list(pair) for pair in places]}

    def _program(self, target: Target) -> str | None:
        """The server's program, when it is where it is looked for."""
        try:
            named = self._options.server_program or f"{target.flavour}-server"
            return server_of(named, runner=self._host.runner).path
        except LifeboatError:
            return None

    def _unfetch(self, facts: Facts) -> None:
        remove(str(facts.get("staging") or self._staging()))

    def _keep(self, _facts: Facts) -> Facts:
        return keep_memory(self._target(), options=self._options, restore_id=self._id, host=self._host)

    def _unkeep(self, _facts: Facts) -> None:
        release_memory(self._target(), options=self._options, restore_id=self._id, host=self._host)

    def _stop(self, _facts: Facts) -> None:
        self._stop_old_server()

    def _stop_old_server(self) -> None:
        """Stop the server that may hold the old data, with all that was written to it."""
        keep_what_came_since(self._target(), options=self._options, host=self._host)
        self._control.ensure_stopped(self._target())

    def _unstop(self, _facts: Facts) -> None:
        target = self._target()
        if not target.running:
            return
        figures, _info = self._control.ensure_started(target)
        if target.keys and not figures.keys:
            raise RestoreIncomplete(
                f"{target.address} held {target.keys} keys before the restore, and came back without any.",
                hint=f"Stop it before it saves that over its files in {target.directory}, and look at its log.",
                details={"keys": target.keys},
            )

    def _move_aside(self, _facts: Facts) -> Facts:
        target = self._target()
        self._stop_old_server()
        move_aside(target.directory, target.names, restore_id=self._id)
        return {"kept": kept_aside(target.directory, restore_id=self._id)}

    def _put_back(self, _facts: Facts) -> None:
        target = self._target()
        if not existing(target.directory, [aside_name(name, self._id) for name in target.names]):
            return  # nothing was moved: a server that runs there by now has the old data, and goes on
        self._control.ensure_stopped(target)
        put_back(target.directory, target.names, restore_id=self._id)

    def _places(self) -> list[tuple[str, str]]:
        return [(str(staged), str(name)) for staged, name in self._fetched().get("places", ())]

    def _fetched(self) -> Facts:
        """What the step that fetched has noted, also in another process."""
        return Ledger.load(state=self._context.state, clock=self._host.clock, restore_id=self._id).facts(_FETCH)

    def _place(self, _facts: Facts) -> None:
        target = self._target()
        staging, places = self._staging(), self._places()
        if existing(staging, [one for one, _name in places]):
            self._control.ensure_stopped(target)  # else a server may have come up on what is all there: it goes on
        place(staging, target.directory, places, restore_id=self._id)
        remove(staging)

    def _take_away(self, _facts: Facts) -> None:
        target = self._target()
        self._control.ensure_stopped(target)
        take_away(target.directory, [name for _staged, name in self._places()])

    def _start(self, noted: Noted) -> Facts:
        target = self._target()
        figures, info = self._control.ensure_started(target)
        self._require_same_place(target, figures, noted)
        require_loaded(noted, figures, kind=self._data.form)
        self._data.require_loaded(self._fetched(), target.directory, target.persistence)
        return {
            "server": str(target.server),
            "keyspace": {name: dict(counts) for name, counts in figures.keyspace.items()},
            "keys_of_rdb": figures.from_rdb,
            "run_id": info.get("run_id", ""),
        }

    def _unstart(self, _facts: Facts) -> None:
        self._control.ensure_stopped(self._target())

    def _require_same_place(self, target: Target, figures: LoadFigures, noted: Noted) -> None:
        """The restarted server must look for its data where it was put, or it loaded nothing of it."""
        with contextlib.closing(self._options.connection.open(runner=self._host.runner)) as client:
            now, _facts = read_target(client)
        if (now.persistence, os.path.realpath(now.directory)) != (
            target.persistence,
            os.path.realpath(target.directory),
        ):
            raise RestoreIncomplete(
                f"{target.address} came back with other settings (appendonly, dir or names of files) than it had "
                f"before, and loaded {figures.keys} keys of {noted.keys}.",
                hint="Let file and server agree (redis-cli CONFIG REWRITE), then restore again.",
                details={"before": target.as_dict(), "now": now.as_dict()},
            )

    def _connect(self) -> str:
        one = self._options.connection
        where = f"-s {shlex.quote(one.unix_socket)}" if one.unix_socket else f"-h {one.host} -p {one.port}"
        return f"redis-cli {where}"


def _nothing(_facts: Facts) -> None:
    """The way back from a look."""
