# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive of append-only files of a real server: shipped by the real operation, recovered by the real steps.

The ledger is the oracle: numbered writes of many kinds, each with the moments at which it was sent and acknowledged.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import os
import pathlib
import shutil
import signal
import time
import typing as t
from dataclasses import dataclass, field, replace

import redis

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restorers.redis_aof_log import (
    aof_log as aof_log_restorers,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship import run_ship
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_values import (
    ShipRequest,
    ShipResult,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.stream_sources.registry import (
    STREAM_KINDS,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import (
    Compression,
    Transforms,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.ledger import (
    FINISHED,
    ROLLED_BACK,
    Ledger,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_planner import RecoveryPlan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import RecoveryTarget
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.restorer import (
    Restoration,
    RestorerContext,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.segment_reader import (
    StoredSegmentReader,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.steps import roll_back, run_steps
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.windows import Windows
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_options import aof_log_options
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_planner import AofLogPlanner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_restorer import AofLogRestorer
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_source import AofLogSource
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_windows import aof_log_windows
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.reader import read_streams
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.spool import Spool
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import Stream
from tests.integration.redis.servers import Served, admin, describe, persistence
from tests.support.waiting import wait_for

SERIES = Series(service="shop", source="main", kind="aof-log")
TIMED = {"aof-timestamp-enabled": "yes"}
_LUA = "redis.call('SET', KEYS[1], ARGV[1]) redis.call('SET', KEYS[2], ARGV[1]) return 1"
_FUNCTION = (
    "#!lua name=ledger\nredis.register_function('put', function(keys, args) "
    "redis.call('SET', keys[1], args[1]) redis.call('SET', keys[2], args[1]) return 1 end)"
)


@dataclass(frozen=True)
class Written:
    """One acknowledged write: the seconds of the wall clock in which it was sent and in which its answer came."""

    number: int
    sent: int
    answered: int


@dataclass
class LedgerWriter:
    """Writes to *of*: single commands, transactions, scripts, functions, keys that expire, one kind after another."""

    of: Served
    written: list[Written] = field(default_factory=list)
    numbers: t.Iterator[int] = field(default_factory=itertools.count)

    def until_second(self, second: int, *, pause: float = 0.02) -> None:
        """Write until a write was sent in *second* or later: the server has noted that second when this returns."""
        with admin(self.of) as client:
            client.function_load(_FUNCTION, replace=True)
            while True:
                self.one(client)
                if self.written[-1].sent >= second:
                    return
                time.sleep(pause)

    def some(self, count: int) -> None:
        """Write *count* times."""
        with admin(self.of) as client:
            client.function_load(_FUNCTION, replace=True)
            for _turn in range(count):
                self.one(client)

    def one(self, client: redis.Redis) -> None:
        """One write, which sets two keys or none."""
        number = next(self.numbers)
        sent = second_now()
        _KINDS[number % len(_KINDS)](client, f"one:{number}", f"two:{number}", number)
        self.written.append(Written(number, sent, second_now()))

    def check(self, found: Served, *, through: int) -> None:
        """All that was acknowledged by the end of the second *through* is there, nothing that was sent later is."""
        with found.client() as client:
            keys = {key.decode() for key in client.scan_iter(count=10_000)}
        for one in self.written:
            first, second = f"one:{one.number}" in keys, f"two:{one.number}" in keys
            assert first == second, f"{one} was applied by half"
            if one.answered <= through:
                assert first, f"{one} was acknowledged, and is missing at {through}"
            if one.sent > through:
                assert not first, f"{one} was sent later, and is there at {through}"


def _set(client: redis.Redis, one: str, two: str, number: int) -> None:
    client.mset({one: number, two: number})


def _transaction(client: redis.Redis, one: str, two: str, number: int) -> None:
    with client.pipeline(transaction=True) as pipeline:
        pipeline.set(one, number)
        pipeline.incr("counter")
        pipeline.set(two, number, ex=1_000_000)
        pipeline.execute()


def _script(client: redis.Redis, one: str, two: str, number: int) -> None:
    client.eval(_LUA, 2, one, two, number)


def _expiring(client: redis.Redis, one: str, two: str, number: int) -> None:
    with client.pipeline(transaction=True) as pipeline:
        pipeline.set(one, number)
        pipeline.expire(one, 1_000_000)
        pipeline.set(two, b"\r\n*1\r\n$4\r\nEXEC\r\n#TS:9\r\n" * 3)
        pipeline.execute()


def _function(client: redis.Redis, one: str, two: str, number: int) -> None:
    client.fcall("put", 2, one, two, number)


_KINDS = (_set, _transaction, _script, _expiring, _function)


@dataclass(frozen=True)
class Recovered:
    """A server that was recovered beside, at its socket."""

    folder: pathlib.Path
    outcome: Restoration
    plan: RecoveryPlan
    port: int = 0  # it has none

    def client(self, database: int = 0) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.folder / "redis.sock"), db=database, socket_timeout=30, retry=None)


@dataclass
class Archive:
    """The archive of *of* in *folder*: a repository, a spool, a state folder."""

    folder: pathlib.Path
    of: Served
    options: dict[str, t.Any] = field(default_factory=dict)
    flavour_program: pathlib.Path | None = None
    host: Host = field(default_factory=Host)
    numbers: t.Iterator[int] = field(default_factory=itertools.count)

    @property
    def repository(self) -> pathlib.Path:
        return self.folder / "repository"

    @property
    def spool(self) -> Spool:
        path = self.folder / "spool"
        path.mkdir(parents=True, exist_ok=True)
        return Spool(path=str(path), budget=1 << 30)

    @property
    def state(self) -> StateDirectory:
        return StateDirectory(path=str(self.folder / "state"))

    def source(self) -> AofLogSource:
        return AofLogSource(options=aof_log_options(describe(self.of), self.options), spool=self.spool, host=self.host)

    def capture(self) -> t.Any:
        """Only into the spool, as a shipper that can reach no repository."""
        source = self.source()
        source.inspect()
        return source.capture(spool=self.spool, stored=None, progress=Progress(clock=SystemClock()))

    def ship(self, **changes: t.Any) -> ShipResult:
        """By the real operation; all that waits is stored afterwards."""
        repository = {"type": "file", "path": str(self.repository), "create": True}
        request = ShipRequest(
            series=SERIES,
            engine="redis",
            kind=STREAM_KINDS["redis", "aof-log"],
            repositories=(RepositoryRequest("local", repository),),
            spool_directory=self.spool.path,
            connection=describe(self.of),
            options=self.options,
            transforms=Transforms(compression=Compression(level=1, threads=1)),
            state_directory=self.state.path,
        )
        return run_ship(replace(request, **changes), host=self.host)

    @property
    def storages(self) -> dict[str, Storage]:
        description = {"type": "file", "path": str(self.repository)}
        return {"local": open_storage(description, name="local", clock=self.host.clock, runner=self.host.runner)}

    def streams(self) -> tuple[Stream, ...]:
        return read_streams(self.storages, SERIES)

    def windows(self, bases: t.Sequence[Backup] = ()) -> Windows:
        return aof_log_windows(bases, self.streams())

    def plan(self, second: int | None, *, bases: t.Sequence[Backup] = (), **target: t.Any) -> RecoveryPlan:
        """The plan for a second, None: latest."""
        now = self.host.clock.now() + datetime.timedelta(days=1)
        if second is None:
            wanted = RecoveryTarget(kind="latest", **target)
        else:
            moment = datetime.datetime.fromtimestamp(second, tz=datetime.UTC)
            wanted = RecoveryTarget(kind="time", time=moment, **target)
        return AofLogPlanner().plan(bases=bases, streams=self.streams(), target=wanted, now=now)

    def reader(self, plan: RecoveryPlan) -> StoredSegmentReader:
        return StoredSegmentReader(plan=plan, series=SERIES, storages=self.storages, host=self.host)

    def restore(
        self, plan: RecoveryPlan, options: t.Mapping[str, t.Any], *, restore_id: str | None = None
    ) -> Restoration:
        """As the operation does it: check every segment, look, begin a ledger, do the steps."""
        reader = self.reader(plan)
        reader.check()
        restore_id = restore_id or self.new_restore_id()
        restorer = self._restorer(plan, options, restore_id)
        restorer.inspect(source=None)
        Ledger.begin(state=self.state, clock=self.host.clock, restore_id=restore_id, target=restorer.target, request={})
        return self.resume(plan, options, restore_id=restore_id)

    def resume(self, plan: RecoveryPlan, options: t.Mapping[str, t.Any], *, restore_id: str) -> Restoration:
        """What a later process does with what a dead one left."""
        restorer, ledger = self._restorer(plan, options, restore_id), self.ledger(restore_id)
        progress = Progress(clock=SystemClock())
        steps = restorer.steps(source=None, progress=progress)
        run_steps(steps, ledger=ledger, journal=self.host.journal, progress=progress)
        outcome = restorer.outcome(facts={entry["name"]: entry["facts"] for entry in ledger.as_dict()["steps"]})
        ledger.close(FINISHED)
        return outcome

    def roll_back(self, plan: RecoveryPlan, options: t.Mapping[str, t.Any], *, restore_id: str) -> None:
        """As the operation does it: of the plan only what the ledger keeps is known, and none of its segments."""
        noted = replace(plan, segments=())
        restorer, ledger = self._restorer(noted, options, restore_id), self.ledger(restore_id)
        progress = Progress(clock=SystemClock())
        steps = restorer.steps(source=None, progress=progress)
        roll_back(steps, ledger=ledger, journal=self.host.journal, progress=progress)
        ledger.close(ROLLED_BACK)

    def new_restore_id(self) -> str:
        return f"20261121T13{next(self.numbers):04d}Z-abcdef"

    def ledger(self, restore_id: str) -> Ledger:
        return Ledger.load(state=self.state, clock=self.host.clock, restore_id=restore_id)

    def _restorer(self, plan: RecoveryPlan, options: t.Mapping[str, t.Any], restore_id: str) -> AofLogRestorer:
        context = RestorerContext(restore_id=restore_id, host=self.host, state=self.state, segments=self.reader(plan))
        return t.cast("AofLogRestorer", aof_log_restorers(options)(context))

    @contextlib.contextmanager
    def recovered(self, second: int | None, **target: t.Any) -> t.Iterator[Recovered]:
        """A server beside, as it was at the end of that second; it is gone afterwards."""
        plan = self.plan(second, **target)
        folder = self.folder / f"at-{next(self.numbers, 0)}"
        options: dict[str, t.Any] = {"data_directory": str(folder), "start_timeout": 20}
        if self.flavour_program is not None:
            options["server_program"] = str(self.flavour_program)
        outcome = self.restore(plan, options)
        found = Recovered(folder=folder, outcome=outcome, plan=plan)
        try:
            yield found
        finally:
            pid = int((folder / "redis.pid").read_text())
            os.kill(pid, signal.SIGKILL)  # there is nothing to save
            wait_for(lambda: not pathlib.Path(f"/proc/{pid}/exe").exists())
            shutil.rmtree(folder)

    def wait_until_complete(self, second: int) -> None:
        """Ship until the archive says that all of *second* is in it."""

        def is_complete() -> bool:
            self.ship()
            return any(window.ends.timestamp() >= second for window in self.windows().windows)

        wait_for(is_complete)


def everything(of: Served) -> dict[str, t.Any]:
    """All that a server of these tests holds: texts with their ends of life, and functions."""
    with of.client() as client:
        keys = sorted(client.scan_iter(count=10_000))
        with client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.get(key)
                pipeline.expiretime(key)
            found = pipeline.execute()
        functions = client.execute_command("FUNCTION", "LIST", "WITHCODE")
    return {"keys": list(zip(keys, found[::2], found[1::2], strict=True)), "functions": functions}


def rewrite(of: Served) -> None:
    """BGREWRITEAOF, and wait for its end."""
    with of.client() as client:
        client.bgrewriteaof()

    def is_over() -> bool:
        found = persistence(of)  # asked once: what was scheduled may have begun by the next answer
        return not (found["aof_rewrite_in_progress"] or found["aof_rewrite_scheduled"])

    wait_for(is_over)


def second_now() -> int:
    """The second of the wall clock, which servers on this host have as well."""
    return int(SystemClock().now().timestamp())


def next_second() -> int:
    """The second after this one, once it has begun."""
    second = second_now() + 1
    wait_for(lambda: second_now() >= second)
    return second


def seconds_of_windows(windows: Windows) -> list[int]:
    """Every second that a stream reaches."""
    return sorted(
        {
            second
            for window in windows.windows
            if window.lineage
            for second in range(int(window.begins.timestamp()), int(window.ends.timestamp()) + 1)
        }
    )
