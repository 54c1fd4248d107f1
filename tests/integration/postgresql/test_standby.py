# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making standbys of real servers, and bringing former primaries back: what is copied, rewound, rebuilt, refused."""

from __future__ import annotations

import contextlib
import os
import signal
import typing as t
from pathlib import Path

import psycopg2
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import StandbyRefused
from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql.pitr_rig import own
from tests.integration.postgresql.rig import SECRET
from tests.integration.postgresql.standby_rig import Node, make, slots_of
from tests.support.children import command_lines
from tests.support.waiting import wait_for

OWN = {"unix_socket_directories": ""}  # the sandbox's own folder for it is gone with its server


class Site(t.NamedTuple):
    one: Node
    two: Node
    three: Node


@contextlib.contextmanager
def site_in(folder: Path, **options: t.Any) -> t.Iterator[Site]:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(PostgreSQLServer(password=SECRET, archiving=False, **options))
        server.query("CREATE TABLE ledger (id int PRIMARY KEY)")
        clusters = own(folder / "clusters")
        nodes = [Node.of(server), *(Node(primary=server, data=clusters / name) for name in ("two", "three"))]
        for node in nodes:
            stack.callback(node.end)
        yield Site(*nodes)


@pytest.fixture
def site(tmp_path: Path) -> t.Iterator[Site]:
    with site_in(tmp_path) as made:
        yield made


def test_a_standby_is_copied_from_its_primary_and_a_second_run_changes_nothing(site: Site) -> None:
    one, two, three = site
    one.write(range(10))
    planned = make(two, one, check=True)
    assert (planned.changed, planned.way) == (True, "create")
    assert not two.data.exists()
    assert slots_of(one) == {}

    made = make(two, one)
    assert (made.changed, made.way, made.slot_made) == (True, "create", True)
    assert two.numbers() == set(range(10))
    assert slots_of(one) == {"two": True}
    assert made.state is not None
    assert (made.state.receiving, made.state.slot) == (True, "two")
    assert any("max_slot_wal_keep_size" in one for one in made.warnings)
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        two.write([99])
    assert SECRET not in "\n".join(command_lines())
    assert SECRET not in (two.data / "postgresql.auto.conf").read_text()

    again = make(two, one)
    assert (again.changed, again.way) == (False, "configure")
    assert make(two, one, check=True).changed is False

    # What is written now arrives, and so it does behind a second standby that follows the first one.
    cascade = make(three, two, name="three")
    assert cascade.way == "create"
    one.write(range(10, 20))
    wait_for(lambda: three.numbers() == set(range(20)))
    assert slots_of(two) == {"three": True}

    # Stopped, it is started; the settings of its own are taken by a reload, and a restart is only named.
    two.stop()
    assert make(two, one).way == "start"
    changed = make(
        two,
        one,
        settings={
            "port": str(two.port),
            "unix_socket_directories": "",
            "archive_mode": "off",
            "max_connections": "60",
        },
    )
    assert (changed.changed, changed.way) == (True, "configure")
    assert any("max_connections" in warning for warning in changed.warnings)
    assert two.query("SHOW max_connections") == [("50",)]


def freeze_senders(primary: Node) -> None:
    """Nothing leaves it any more, and nothing waits in a socket."""
    for (pid,) in primary.query("SELECT pid FROM pg_stat_replication"):
        os.kill(pid, signal.SIGSTOP)


def failed_over(site: Site, *, lost: int) -> None:
    """*two* has taken the place of *one*, which died with writes of its own."""
    one, two, _three = site
    one.write(range(10))
    make(two, one)
    two.has(one)
    one.query("SELECT pg_create_physical_replication_slot('forgotten', true)")
    freeze_senders(one)
    one.write(range(100, 100 + lost))
    one.kill()
    two.promote()
    two.write(range(10, 15))


def test_a_former_primary_is_rewound_and_what_only_it_had_is_counted_first(site: Site) -> None:
    one, two, _three = site
    failed_over(site, lost=17)
    refused = "can't just follow: it did not end in order"
    with pytest.raises(StandbyRefused, match=refused):
        make(one, two, name="one", settings=OWN)
    with pytest.raises(StandbyRefused, match=r"17 commits of .* are in .* and nowhere else") as loss:
        make(one, two, name="one", settings=OWN, rejoin="auto")
    assert loss.value.details["only_here"]["count"] == 17
    planned = make(one, two, name="one", settings=OWN, rejoin="auto", accept_data_loss=True, check=True)
    assert (planned.way, t.cast("t.Any", planned.only_here).count) == ("rewind", 17)
    assert (one.data / "postmaster.pid").exists()  # as the crash has left it
    assert not (one.data / "standby.signal").exists()

    made = make(one, two, name="one", settings=OWN, rejoin="auto", accept_data_loss=True)
    assert (made.changed, made.way, made.aside) == (True, "rewind", None), made.why
    assert one.numbers() == set(range(15))
    assert one.state().timeline == 2
    assert slots_of(one) == {}  # nobody would take what they keep
    assert slots_of(two) == {"one": True}
    assert [path.name for path in one.data.parent.glob("data.*")] == ["data.pgpass"]
    # It lets in at whatever server becomes the next primary, too.
    assert (one.data.parent / "data.pgpass").read_text().startswith("*:*:*:")
    two.write([15])
    wait_for(lambda: 15 in one.numbers())
    assert make(one, two, name="one", settings=OWN, rejoin="auto").changed is False

    # And once more, the other way round: the second failover has nothing that is lost, and needs no rewind.
    two.stop()
    one.promote()
    one.write([16])
    back = make(two, one, name="two", rejoin="auto")
    assert back.way == "follow"
    wait_for(lambda: two.numbers() == set(range(17)))
    assert two.state().timeline == 3


def test_where_pg_rewind_refuses_the_folder_is_moved_aside_and_copied_anew(tmp_path: Path) -> None:
    with site_in(tmp_path, checksums=False) as site:
        one, two, _three = site
        failed_over(site, lost=3)
        with pytest.raises(StandbyRefused, match="neither data checksums nor wal_log_hints"):
            make(one, two, name="one", settings=OWN, rejoin="rewind")
        made = make(one, two, name="one", settings=OWN, rejoin="auto")
        assert made.way == "rebuild"
        assert "neither data checksums nor wal_log_hints" in made.why
        assert t.cast("t.Any", made.only_here).count == 3
        assert one.numbers() == set(range(15))

        # What was there is whole, and has the writes that nobody else has.
        old = Node(primary=one.primary, data=Path(t.cast("str", made.aside)))
        one.stop()
        old.control("start", "-l", str(tmp_path / "clusters/log"), "-o", f"-p {old.port} -c unix_socket_directories=")
        assert old.state().in_recovery  # and nobody can make a second primary of it by starting it
        assert old.numbers() == set(range(10)) | set(range(100, 103))
        old.end()


def test_a_running_standby_whose_wal_is_gone_is_rebuilt_when_that_is_asked_for(tmp_path: Path) -> None:
    settings = {"max_slot_wal_keep_size": "32MB", "min_wal_size": "32MB", "max_wal_size": "64MB"}
    with site_in(tmp_path, settings=settings) as site:
        one, two, _three = site
        one.write(range(5))
        make(two, one)
        two.has(one)
        asked = make(two, one, rejoin="rebuild")
        assert (asked.changed, asked.way) == (False, "configure")
        assert "it is not rebuilt, because its WAL is not proven to be gone" in asked.why

        # Away for longer than the slot keeps WAL, and nobody has it in an archive.
        two.stop()
        for number in range(10, 17):
            one.write([number])
            one.query("SELECT pg_switch_wal()")
        one.query("CHECKPOINT")
        assert one.query("SELECT wal_status FROM pg_replication_slots") == [("lost",)]
        two.start()
        wait_for(lambda: two.state().received is not None)
        for rejoin in ("never", "auto", "rewind"):
            with pytest.raises(StandbyRefused, match="can never catch up: the WAL that it needs next"):
                make(two, one, rejoin=rejoin)
        planned = make(two, one, rejoin="rebuild", check=True)
        assert (planned.changed, planned.way) == (True, "rebuild")
        assert "is gone" in planned.why
        assert "stop the server on" in planned.steps[0], planned.steps
        assert two.numbers() == set(range(5))  # it still runs, as it was

        made = make(two, one, rejoin="rebuild")
        assert (made.changed, made.way) == (True, "rebuild"), made.why
        assert two.numbers() == {*range(5), *range(10, 17)}
        assert slots_of(one) == {"two": True}
        assert made.aside is not None
        assert Path(made.aside, "standby.signal").exists()
        assert not list(two.data.parent.glob("*.rebuilding"))
        one.write([20])
        wait_for(lambda: 20 in two.numbers())
        assert make(two, one, rejoin="rebuild").changed is False


def test_what_is_no_former_primary_of_the_cluster_is_never_touched(site: Site, tmp_path: Path) -> None:
    one, two, three = site
    make(two, one)
    with pytest.raises(StandbyRefused, match="runs as a primary"):
        make(one, two, name="one", settings=OWN, rejoin="rebuild")
    with PostgreSQLServer(password=SECRET, archiving=False) as other:
        stranger = Node.of(other)
        stranger.stop()
        for rejoin in ("never", "auto", "rebuild"):
            with pytest.raises(StandbyRefused, match="belongs to the cluster"):
                make(stranger, one, name="stranger", settings=OWN, rejoin=rejoin)
    three.data.mkdir()
    (three.data / "letters.txt").write_text("dear diary")
    with pytest.raises(StandbyRefused, match="no PostgreSQL cluster"):
        make(three, one, name="three", rejoin="rebuild")
    assert (three.data / "letters.txt").read_text() == "dear diary"
    one.stop()
    one.start()
    one.write([1])
    # Stopped, and nobody has taken its place: a standby of it is no reason to make it one as well.
    two.has(one)
    one.stop()
    with pytest.raises(StandbyRefused, match="nobody was promoted in its place"):
        make(one, two, name="one", settings=OWN, rejoin="auto")
    assert not (one.data / "standby.signal").exists()
