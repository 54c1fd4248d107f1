# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The measures of degraded mode on real servers, files and programs: taken, taken again, put back exactly as it was.

Whoever dies before any of the notes, or right after a change, leaves what the next run finishes.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import pathlib
import sys
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import format_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    ChannelUnreachable,
    DegradedChangedMeanwhile,
    DegradedMeasureFailed,
    LifeboatError,
    RequestInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.degraded.criteria import ask_criterion
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.degraded.levers import lever_for
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.degraded.measure import (
    Lever,
    Taken,
    enter,
    leave,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.degraded.notes import Notes, noted_modes, pauses
from sandbox.postgresql import PostgreSQLServer
from sandbox.redis import RedisServer
from tests.integration.ansible.recovery_site import Application
from tests.support.told_servers import WebServer
from tests.support.waiting import wait_for

PASSWORD = "not-for-anybody-2f1c"
Json = dict[str, t.Any]


class Died(BaseException):
    """The process ends here."""


class MortalNotes(Notes):
    """Dies before the note of that number is written, or right after it."""

    left = 0
    after = False

    def put_measure(self, name: str, note: t.Any) -> None:
        type(self).left -= 1
        if self.left == 0 and not self.after:
            raise Died
        super().put_measure(name, note)
        if self.left == 0:
            raise Died


class Site:
    """The servers, and one host that takes measures."""

    def __init__(self, folder: pathlib.Path, postgresql: PostgreSQLServer, redis: RedisServer, web: WebServer) -> None:
        self.folder, self.postgresql, self.redis, self.web = folder, postgresql, redis, web
        self.host = Host()
        self.notes = Notes(state=StateDirectory(path=str(folder / "state")), service="adhd")
        secret = folder / "password"
        secret.write_text(PASSWORD + "\n")
        secret.chmod(0o600)
        self.administrator = {
            "host": "127.0.0.1",
            "port": postgresql.port,
            "user": "postgres",
            "password_file": str(secret),
        }

    def lever(self, kind: str, **options: t.Any) -> Lever:
        measure = {"name": "it", "kind": kind, "options": options}
        return lever_for(measure, mode="5f1c", administrator=self.administrator, account="postgres", host=self.host)

    def enter(self, lever: Lever, *, notes: Notes | None = None) -> Taken:
        return enter("it", lever, notes=notes or self.notes, host=self.host)

    def leave(self, lever: Lever, *, notes: Notes | None = None, force: bool = False) -> Taken:
        return leave("it", lever, notes=notes or self.notes, host=self.host, force=force)

    def mortal(self, number: int, *, after: bool) -> MortalNotes:
        MortalNotes.left, MortalNotes.after = number, after
        return MortalNotes(state=self.notes.state, service="adhd")

    def settings(self, role: str) -> list[str]:
        found = self.postgresql.query(
            "SELECT unnest(setconfig) FROM pg_db_role_setting JOIN pg_roles r ON r.oid = setrole WHERE rolname = %s",
            (role,),
        )
        return sorted(row[0] for row in found)


@pytest.fixture(scope="module")
def servers() -> t.Iterator[tuple[PostgreSQLServer, RedisServer]]:
    with contextlib.ExitStack() as stack:
        yield (
            stack.enter_context(PostgreSQLServer(password=PASSWORD)),
            stack.enter_context(RedisServer()),
        )


@pytest.fixture
def site(tmp_path: pathlib.Path, servers: tuple[PostgreSQLServer, RedisServer]) -> t.Iterator[Site]:
    web = WebServer()
    try:
        yield Site(tmp_path, servers[0], servers[1], web)
    finally:
        web.stop()


ENVIRONMENT = "# flags\nexport ANALYTICS=on  # noqa\nDATABASE=x\nLAST=1"


class Case:
    """A measure with its world: ``world`` is all that it could change, as one value."""

    def __init__(self, lever: Lever, world: t.Callable[[], t.Any]) -> None:
        self.lever, self.world = lever, world


def _role(site: Site) -> Case:
    site.postgresql.query('DROP ROLE IF EXISTS "we""ird"')
    site.postgresql.query('CREATE ROLE "we""ird"')
    site.postgresql.query('ALTER ROLE "we""ird" SET statement_timeout = \'90s\'')
    site.postgresql.query('ALTER ROLE "we""ird" SET search_path = a, b')
    settings = {"statement_timeout": "5s", "work_mem": "8MB"}
    lever = site.lever("postgresql", connection=site.administrator, role='we"ird', settings=settings)
    return Case(lever, lambda: site.settings('we"ird'))


def _database(site: Site) -> Case:
    site.postgresql.query("ALTER DATABASE postgres RESET ALL")
    lever = site.lever(
        "postgresql", connection=site.administrator, database="postgres", settings={"lock_timeout": "1s"}
    )
    return Case(lever, lambda: site.postgresql.query("SELECT setconfig FROM pg_db_role_setting WHERE setrole = 0"))


def _flag(site: Site) -> Case:
    client = site.redis.client()
    client.set("features:analytics", b"\x00on")
    lever = site.lever(
        "redis", connection={"host": "127.0.0.1", "port": site.redis.port}, key="features:analytics", value="off"
    )
    return Case(lever, lambda: (client.get("features:analytics"), client.ttl("features:analytics")))


def _new_flag(site: Site) -> Case:
    client = site.redis.client(3)
    client.delete("new")
    connection = {"host": "127.0.0.1", "port": site.redis.port}
    return Case(site.lever("redis", connection=connection, key="new", value="1", database=3), lambda: client.get("new"))


def _field(site: Site) -> Case:
    client = site.redis.client()
    client.delete("features")
    client.hset("features", mapping={"search": "on", "other": "x"})
    connection = {"host": "127.0.0.1", "port": site.redis.port}
    lever = site.lever("redis", connection=connection, key="features", field="search", value="off")
    return Case(lever, lambda: client.hgetall("features"))


def _line(site: Site) -> Case:
    file = site.folder / "flags.env"
    file.write_text(ENVIRONMENT)
    file.chmod(0o640)
    lever = site.lever("env_file", file=str(file), key="ANALYTICS", value="off")
    return Case(lever, lambda: (file.read_bytes(), oct(file.stat().st_mode)))


def _new_line(site: Site) -> Case:
    file = site.folder / "new.env"
    file.write_text(ENVIRONMENT)
    lever = site.lever("env_file", file=str(file), key="BACKGROUND", value="off")
    return Case(lever, file.read_bytes)


def _program(site: Site) -> Case:
    (site.folder / "runs").write_text("")
    lever = site.lever(
        "application",
        state="stopped",
        start_command=f"touch {site.folder}/runs",
        stop_command=f"rm -f {site.folder}/runs",
        check=f"test -e {site.folder}/runs",
    )
    return Case(lever, (site.folder / "runs").exists)


def _command(site: Site) -> Case:
    runs = site.folder / "switched"
    lever = site.lever(
        "command", enter=["touch", str(runs)], leave=["rm", "-f", str(runs)], check=["test", "-e", str(runs)]
    )
    return Case(lever, runs.exists)


CASES: t.Mapping[str, t.Callable[[Site], Case]] = {
    "settings of a role": _role,
    "settings of a database": _database,
    "a flag that was there": _flag,
    "a flag that was not there": _new_flag,
    "a field of a hash": _field,
    "a line that was there": _line,
    "a line that was not there": _new_line,
    "an application": _program,
    "a command": _command,
}


@pytest.mark.parametrize("what", CASES)
def test_what_was_before_is_put_back_exactly_whoever_dies_and_however_often_it_is_taken(what: str, site: Site) -> None:
    case = CASES[what](site)
    before = case.world()
    for after in (False, True):
        for number in (1, 2):
            with pytest.raises(Died):
                site.enter(case.lever, notes=site.mortal(number, after=after))
            site.enter(case.lever)
            degraded = case.world()
            assert degraded != before
            assert site.enter(case.lever).changed is False
            with pytest.raises(Died):
                site.leave(case.lever, notes=site.mortal(number, after=after))
            site.leave(case.lever)
            assert case.world() == before
            assert site.leave(case.lever).changed is False
            assert site.notes.read()["measures"] == {}


def test_what_somebody_changed_meanwhile_is_theirs(site: Site) -> None:
    case = _flag(site)
    site.enter(case.lever)
    site.redis.client().set("features:analytics", "later")
    with pytest.raises(DegradedChangedMeanwhile):
        site.leave(case.lever)
    assert site.redis.client().get("features:analytics") == b"later"
    assert site.leave(case.lever, force=True).changed
    assert case.world() == (b"\x00on", -1)
    # Taken again it is taken anew: a server that was restored from a snapshot has the old value.
    site.enter(case.lever)
    site.redis.client().set("features:analytics", b"\x00on")
    assert site.enter(case.lever).changed
    site.leave(case.lever)


def test_a_flag_that_expires_does_so_at_its_time(site: Site) -> None:
    client = site.redis.client()
    client.set("soon", "on", px=3_600_000)
    lever = site.lever("redis", connection={"host": "127.0.0.1", "port": site.redis.port}, key="soon", value="off")
    site.enter(lever)
    assert client.ttl("soon") == -1
    site.leave(lever)
    assert (client.get("soon"), 3_000 < client.ttl("soon") <= 3_600) == (b"on", True)
    note = {"value": "b24=", "expires": 1}
    assert lever.is_back({"value": None, "expires": None}, note)
    lever.turn_back(note)
    assert client.get("soon") is None


def test_what_can_not_be_switched_is_refused_and_changes_nothing(site: Site) -> None:
    client = site.redis.client()
    client.delete("list")
    client.rpush("list", "x")
    connection = {"host": "127.0.0.1", "port": site.redis.port}
    double = site.folder / "double.env"
    double.write_text("A=1\nA=2\n")
    for lever, error in (
        (site.lever("redis", connection=connection, key="list", value="off"), DegradedMeasureFailed),
        (site.lever("env_file", file=str(double), key="A", value="3"), RequestInvalid),
        (site.lever("env_file", file=str(site.folder / "none"), key="A", value="3"), RequestInvalid),
        (
            site.lever("postgresql", connection=site.administrator, role="nobody", settings={"work_mem": "1MB"}),
            DegradedMeasureFailed,
        ),
        (
            site.lever("postgresql", connection=site.administrator, database="none", settings={"work_mem": "1MB"}),
            DegradedMeasureFailed,
        ),
        (site.lever("command", enter=["true"], leave=["true"], check=["false"]), DegradedMeasureFailed),
        (site.lever("command", enter=["false"], leave=["true"]), LifeboatError),
    ):
        with pytest.raises(error):
            site.enter(lever)
    assert double.read_text() == "A=1\nA=2\n"
    with pytest.raises(RequestInvalid):
        site.lever("teleport")


def test_settings_that_the_server_refuses_are_not_half_set(site: Site) -> None:
    case = _role(site)
    before = case.world()
    settings = {"statement_timeout": "5s", "work_mem": "a lot"}
    lever = site.lever("postgresql", connection=site.administrator, role='we"ird', settings=settings)
    with pytest.raises(LifeboatError):
        site.enter(lever)
    assert case.world() == before


def test_new_sessions_have_the_relief_and_lose_it(site: Site) -> None:
    lever = site.lever(
        "postgresql", connection=site.administrator, database="postgres", settings={"statement_timeout": "1234ms"}
    )
    site.enter(lever)
    assert site.postgresql.query("SHOW statement_timeout") == [("1234ms",)]
    site.leave(lever)
    assert site.postgresql.query("SHOW statement_timeout") == [("0",)]


def test_an_application_that_reads_a_file_is_restarted_when_that_changed(site: Site) -> None:
    application = Application(site.folder / "application")
    application.write()
    file = site.folder / "flags.env"
    file.write_text("ANALYTICS=on\n")
    lever = site.lever("env_file", file=str(file), key="ANALYTICS", value="off", restart=application.described)
    try:
        site.enter(lever)
        wait_for(application.is_well)
        site.enter(lever)
        assert application.diary == ["stopped", "started"]
        site.leave(lever)
        assert application.diary == ["stopped", "started"] * 2
    finally:
        wait_for(application.is_well)
        application.end()


def test_a_unit_is_stopped_and_started_as_it_was(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a systemctl that keeps a file for a unit: whole hosts with systemd are a suite of their own."""
    folder = site.folder / "bin"
    folder.mkdir()
    program = folder / "systemctl"
    program.write_text(
        f"""#!{sys.executable}
import pathlib, sys
runs = pathlib.Path({str(site.folder / "unit")!r})
if sys.argv[1] == "show":
    known = sys.argv[2] == "background"
    print("LoadState=" + ("loaded" if known else "not-found"))
    print("ActiveState=" + ("active" if runs.exists() else "inactive"))
else:
    runs.touch() if sys.argv[1] == "start" else runs.unlink()
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    (site.folder / "unit").touch()
    stopped = site.lever("unit", unit="background", state="stopped")
    assert site.enter(stopped).before == {"running": True}
    assert not (site.folder / "unit").exists()
    assert site.leave(stopped).changed
    assert (site.folder / "unit").exists()
    # One that did not run stays stopped.
    (site.folder / "unit").unlink()
    assert site.enter(stopped).changed is False
    assert site.leave(stopped).changed is False
    with pytest.raises(DegradedMeasureFailed, match="There is no unit other"):
        site.enter(site.lever("unit", unit="other", state="stopped"))


def test_whoever_switches_by_themselves_is_told_once_each_way(site: Site) -> None:
    token = site.folder / "token"
    token.write_text("secret-token\n")
    lever = site.lever(
        "webhook",
        url=f"http://127.0.0.1:{site.web.port}/api/emergency/degradation-mode",
        body={"service": "adhd", "essential": ["crisis support"]},
        token_file=str(token),
        leave={"thanks": True},
    )
    site.web.status = 500
    with pytest.raises(ChannelUnreachable):
        site.enter(lever)
    site.web.status = 200
    site.web.calls.clear()
    assert site.enter(lever).changed
    assert not site.enter(lever).changed
    with pytest.raises(Died):
        site.leave(lever, notes=site.mortal(2, after=False))
    site.leave(lever)
    told = [(call.path, call.document["active"], call.headers["Idempotency-Key"]) for call in site.web.calls]
    path = "/api/emergency/degradation-mode"
    # Who died before it was noted tells again, with the same key.
    assert told == [(path, True, "5f1c-it-enter"), (path, False, "5f1c-it-leave"), (path, False, "5f1c-it-leave")]
    assert site.web.calls[0].document == {"service": "adhd", "essential": ["crisis support"], "active": True}
    assert site.web.calls[1].document["thanks"] is True
    assert {call.headers["Authorization"] for call in site.web.calls} == {"Bearer secret-token"}


def test_paused_jobs_run_again_when_the_mode_is_over_or_has_lasted_too_long(site: Site) -> None:
    now = site.host.clock.now()
    hour = datetime.timedelta(hours=1)
    mode = {"id": "5f1c", "by": "ada on desk", "at": format_time(now), "until": format_time(now + hour)}
    lever = site.lever("pause_jobs", jobs=["main/incremental"])
    site.notes.put_mode(mode)
    site.enter(lever)
    state = site.notes.state
    assert list(pauses(state, now=now)) == ["adhd/main/incremental"]
    assert "ada on desk" in pauses(state, now=now)["adhd/main/incremental"]
    assert pauses(state, now=now + hour) == {}
    site.leave(lever)
    assert pauses(state, now=now) == {}
    assert noted_modes(state) == {"adhd": mode}
    site.notes.put_mode({})
    assert noted_modes(state) == {}


def ask(site: Site, kind: str, **options: t.Any) -> tuple[bool, str]:
    answer = ask_criterion({"name": "it", "kind": kind, "options": options}, host=site.host)
    return answer.met, answer.said


def test_each_criterion_says_why_it_is_not_met(site: Site) -> None:
    url = f"http://127.0.0.1:{site.web.port}/health"
    assert ask(site, "health", url=url, status=200, timeout=5) == (True, f"{url} answers 200")
    site.web.status = 503
    assert ask(site, "health", url=url, status=200, timeout=5) == (False, f"{url} answers 503, not 200")
    assert ask(site, "health", url=url, status=503, timeout=5)[0]
    site.web.stop()
    assert ask(site, "health", url=url, status=200, timeout=5)[0] is False
    site.web.start()
    assert ask(site, "application", command="false") == (False, "false ended with 1")
    assert ask(site, "load", per_processor=10_000)[0] is True
    assert ask(site, "load", per_processor=0.0)[0] is False or ask(site, "load", per_processor=0.0)[1].startswith("the")

    question = {"name": "roles", "database": "postgres", "sql": "select count(*) from pg_roles", "min": 1}
    asked = {"engine": "postgresql", "connection": {**site.administrator, "database": "postgres"}}
    assert ask(site, "question", **asked, ask=question)[0] is True
    assert ask(site, "question", **asked, ask={**question, "min": 1000})[0] is False
    assert ask(site, "question", **asked, ask={**question, "sql": "select nothing"})[0] is False
    redis = {"engine": "redis", "connection": {"host": "127.0.0.1", "port": site.redis.port}}
    assert ask(site, "question", **redis, ask={"name": "keys", "redis": ["DBSIZE"], "min": 0})[0] is True


def test_a_standby_that_is_behind_is_a_reason_to_stay(site: Site) -> None:
    with PostgreSQLServer.standby_of(site.postgresql) as standby:
        own = {**site.administrator, "database": "postgres"}
        options = {
            "standby": "hot",
            "primary": own,
            "connection": {**own, "port": standby.port},
            "max_lag": "1h",
        }
        site.postgresql.query("CREATE TABLE IF NOT EXISTS lag_of_degraded (id int)")
        wait_for(lambda: ask(site, "lag", **options)[0])
        wait_for(lambda: standby.query("SELECT pg_last_xact_replay_timestamp() IS NOT NULL") == [(True,)])
        standby.query("SELECT pg_wal_replay_pause()")
        site.postgresql.query("INSERT INTO lag_of_degraded VALUES (1)")
        wait_for(lambda: "lacks some" in ask(site, "lag", **{**options, "max_lag": "1h"})[1])
        wait_for(lambda: not ask(site, "lag", **{**options, "max_lag": "1s"})[0])
        assert ask(site, "lag", **{**options, "connection": own}) == (False, "hot is a primary")
        standby.query("SELECT pg_wal_replay_resume()")
        wait_for(lambda: ask(site, "lag", **options) == (True, "hot has all"))


def test_notes_hold_no_secret_and_are_for_their_owner_only(site: Site) -> None:
    site.enter(_role(site).lever)
    path = site.folder / "state" / "degraded" / "adhd.json"
    assert PASSWORD not in path.read_text()
    assert json.loads(path.read_text())["measures"]["it"]["before"] == {"statement_timeout": "90s", "work_mem": None}
    assert oct(path.stat().st_mode & 0o077) == "0o0"
