# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Promoting real standbys: what arrived is there, what did not is counted, and the old primary writes no more."""

from __future__ import annotations

import contextlib
import os
import signal
import typing as t

import psycopg2
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    FenceNotProven,
    FenceRefused,
    FollowRefused,
    PromotionRefused,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.world import loss_after_fence
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql import fence as fencing
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.fence import (
    SIGNAL,
    Fenced,
    FenceRequest,
    fence_server,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.following import NewPrimary, follow
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.promotion import (
    Promoted,
    Promotion,
    promote,
    prove_writes,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.standby_state import (
    StandbyState,
    look_at_standby,
    received_position,
)
from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql.rig import RUNNER, SECRET, connection_to
from tests.support.waiting import wait_for

HOST = Host()


class Cluster(t.NamedTuple):
    primary: PostgreSQLServer
    standbys: tuple[PostgreSQLServer, PostgreSQLServer]


@pytest.fixture
def cluster() -> t.Iterator[Cluster]:
    with contextlib.ExitStack() as stack:
        primary = stack.enter_context(PostgreSQLServer(password=SECRET))
        primary.query("CREATE TABLE ledger (id int PRIMARY KEY)")
        standbys = tuple(stack.enter_context(PostgreSQLServer.standby_of(primary)) for _number in range(2))
        caught_up(primary, *standbys)
        yield Cluster(primary=primary, standbys=t.cast("t.Any", standbys))


def state_of(server: PostgreSQLServer) -> StandbyState:
    return look_at_standby(connection_to(server), host=HOST)


def caught_up(primary: PostgreSQLServer, *standbys: PostgreSQLServer) -> None:
    position = received_position(state_of(primary))
    for one in standbys:
        wait_for(lambda one=one: received_position(state_of(one)) >= position)


def write(server: PostgreSQLServer, numbers: t.Iterable[int]) -> None:
    """Each number is acknowledged when this returns."""
    with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
        for number in numbers:
            cursor.execute("INSERT INTO ledger VALUES (%s)", [number])


def numbers_in(server: PostgreSQLServer) -> set[int]:
    return {number for (number,) in server.query("SELECT id FROM ledger")}


def fence(server: PostgreSQLServer, state: StandbyState, **changes: t.Any) -> Fenced:
    request = {
        "data_directory": str(server.data_directory),
        "system_identifier": state.system_identifier,
        "timeline": 1,
        "received": state.replayed,
        "port": server.port,
        "bin_directory": str(server.bin_directory),
        "timeout": 120.0,
    }
    return fence_server(FenceRequest(**{**request, **changes}), host=HOST)


def promoted(server: PostgreSQLServer, state: StandbyState, *, timeline: int = 1, check: bool = False) -> Promoted:
    promotion = Promotion(system_identifier=state.system_identifier, timeline=timeline, timeout=120)
    with connection_to(server).connect(runner=RUNNER) as session:
        return promote(session, promotion, host=HOST, check=check)


def freeze_senders(primary: PostgreSQLServer) -> None:
    """Nothing leaves the primary any more, and nothing waits in a socket."""
    for (pid,) in primary.query("SELECT pid FROM pg_stat_replication"):
        os.kill(pid, signal.SIGSTOP)


def test_a_killed_primary_is_replaced_and_what_did_not_arrive_is_counted_exactly(cluster: Cluster) -> None:
    primary, (hot, other) = cluster
    write(primary, range(100))
    caught_up(primary, hot, other)
    freeze_senders(primary)
    write(primary, range(100, 117))  # acknowledged, and on no standby
    primary.kill()

    before = state_of(hot)
    assert (before.in_recovery, before.timeline, before.written) == (True, 1, None)
    assert before.last_commit is not None
    assert promoted(hot, before, check=True).changed
    assert state_of(hot).in_recovery

    fenced = fence(primary, before)
    assert not fenced.was_running
    assert fenced.cluster_state == "in production"
    assert fenced.at_rest is not None
    loss = loss_after_fence(fenced.as_dict(), state_of(hot).as_dict())
    assert loss.commits == 17

    result = promoted(hot, before)
    assert (result.changed, result.timeline_before, result.timeline) == (True, 1, 2)
    assert result.switched is not None
    with connection_to(hot).connect(runner=RUNNER) as session:
        assert prove_writes(session, timeline=2)["timeline"] == 2
    assert numbers_in(hot) == set(range(100))

    # The old primary comes back with its host: it lets people read, and takes nothing.
    primary.start()
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        write(primary, [1000])
    assert state_of(primary).in_recovery
    # What it has and nobody else can't be followed away.
    with pytest.raises(FollowRefused, match="has WAL that the new primary never had"):
        follows(primary, hot, result)

    # The way back, as docs/runbooks/promote.md says it: it was started and is stopped, then it is rewound.
    primary.stop()
    source = f"host=127.0.0.1 port={hot.port} user=postgres dbname=postgres passfile={hot.password_file}"
    folder = f"--target-pgdata={primary.data_directory}"
    rewound = primary.run("pg_rewind", folder, f"--source-server={source}", "--write-recovery-conf")
    assert rewound.returncode == 0, rewound.stderr
    primary.start()
    write(hot, [100])
    wait_for(lambda: numbers_in(primary) == set(range(101)))
    assert state_of(primary).timeline == 2


def follows(server: PostgreSQLServer, primary: PostgreSQLServer, result: Promoted) -> t.Any:
    new = NewPrimary(
        host="127.0.0.1",
        port=primary.port,
        system_identifier=state_of(primary).system_identifier,
        timeline=result.timeline,
        switched=result.switched,
        connection=connection_to(primary),
    )
    with connection_to(server).connect(runner=RUNNER) as session:
        return follow(session, new, timeout=120, host=HOST)


def test_a_living_primary_is_stopped_in_order_and_nothing_is_lost(cluster: Cluster) -> None:
    primary, (hot, other) = cluster
    write(primary, range(50))
    other.query("ALTER SYSTEM SET primary_slot_name = 'other'")
    before = state_of(hot)
    with contextlib.closing(primary.connect()) as client:  # somebody is still connected
        fenced = fence(primary, before)
        with pytest.raises(psycopg2.Error), client.cursor() as cursor:
            cursor.execute("INSERT INTO ledger VALUES (1000)")
    assert (fenced.was_running, fenced.stopped_by, fenced.stopped_in_order) == (True, "pg_ctl stop -m fast", True)
    assert fenced.refused == (f"127.0.0.1:{primary.port}",)
    assert loss_after_fence(fenced.as_dict(), state_of(hot).as_dict()).commits == 0
    again = fence(primary, before)
    assert (again.changed, again.was_running, again.signal_file) == (False, False, True)

    result = promoted(hot, before)
    assert numbers_in(hot) == set(range(50))
    repeated = promoted(hot, before)
    assert (repeated.changed, repeated.timeline) == (False, 2)
    with pytest.raises(PromotionRefused, match="a primary on timeline 2, and a standby on timeline 2"):
        promoted(hot, before, timeline=2)

    other.query("SELECT pg_reload_conf()")
    moved = follows(other, hot, result)
    assert (moved.changed, moved.timeline, moved.slot_made) == (True, 2, "other")
    write(hot, [50])
    wait_for(lambda: 50 in numbers_in(other))
    assert follows(other, hot, result).changed is False


def test_a_standby_that_has_all_up_to_the_end_of_a_segment_lacks_nothing(cluster: Cluster) -> None:
    primary, (hot, other) = cluster
    other.stop()
    primary.query("SELECT pg_switch_wal()")
    freeze_senders(primary)
    end = primary.query("SELECT pg_current_wal_insert_lsn()::text")[0][0]
    primary.kill()
    boundary = f"{end.partition('/')[0]}/{int(end.partition('/')[2], 16) & 0xFF000000:X}"
    for received in (boundary, state_of(hot).replayed):
        fenced = fence(primary, state_of(hot), received=received)
        assert fenced.at_rest is not None
        assert fenced.at_rest.count == 0
    # So far back the disk has nothing any more.
    assert fence(primary, state_of(hot), received="0/28").at_rest is None


def test_what_is_not_the_old_primary_is_not_fenced(cluster: Cluster) -> None:
    primary, (hot, _other) = cluster
    before = state_of(hot)
    with pytest.raises(FenceRefused, match="is a standby's"):
        fence(hot, before)
    with pytest.raises(FenceRefused, match="has the system identifier"):
        fence(primary, before, system_identifier="1")
    with pytest.raises(FenceRefused, match="no data folder"):
        fence(primary, before, data_directory=str(primary.directory))
    assert fence_server(
        FenceRequest(
            data_directory=str(primary.data_directory),
            system_identifier=before.system_identifier,
            timeline=1,
            bin_directory=str(primary.bin_directory),
        ),
        host=HOST,
        check=True,
    ).was_running
    assert not (primary.data_directory / SIGNAL).exists()
    write(primary, [1])
    with pytest.raises(PromotionRefused, match="has the system identifier"):
        promoted(hot, StandbyState(**{**before.as_dict(), "system_identifier": "1"}))
    with pytest.raises(PromotionRefused, match="a primary on timeline 1"):
        promoted(primary, before)


def test_an_address_that_answers_is_no_proof(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    primary, (hot, other) = cluster
    monkeypatch.setattr(fencing._Fence, "_addresses", lambda _self: [("127.0.0.1", other.port)])
    with pytest.raises(FenceNotProven, match=f"something answers at 127.0.0.1:{other.port}"):
        fence(primary, state_of(hot), port=free_port())
    assert (primary.data_directory / SIGNAL).exists()
