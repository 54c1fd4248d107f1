# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers are prepared for their backups and put back, while they run."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
import redis

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.preparation import Prepared, PrepareRequest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.label_mark import mark
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.prepare import prepare_redis
from sandbox.ports import free_port
from sandbox.redis import RedisServer
from tests.integration.redis.conftest import Starter
from tests.integration.redis.servers import admin, describe, fill, take

OWN = "lifeboats-own-word"
KINDS = ("rdb", "aof", "aof-log")


class Site:
    """A server and what a role says about it."""

    def __init__(self, server: RedisServer, folder: pathlib.Path) -> None:
        self.server = server
        self.state = folder / "state"
        self.jobs: dict[str, t.Any] = {"port": server.port, "username": "lifeboat", "password": OWN}
        self.administrator: dict[str, t.Any] = {"port": server.port}

    def prepare(
        self, *, kinds: t.Sequence[str] = KINDS, check: bool = False, absent: bool = False, **options: t.Any
    ) -> Prepared:
        request = PrepareRequest(
            service="shop",
            source="cache",
            connection=self.jobs,
            administrator=self.administrator,
            kinds=tuple(kinds),
            options=options,
            absent=absent,
            check=check,
            state_directory=str(self.state),
        )
        return prepare_redis(request, host=Host())

    def everything(self) -> dict[str, t.Any]:
        """What preparing may touch."""
        with admin(self.server) as client:
            return {
                "users": sorted(map(str, client.execute_command("ACL", "LIST"))),
                "settings": [client.config_get(name) for name in ("appendonly", "aof-timestamp-enabled")],
                "notes": [path.read_text() for path in sorted(self.state.rglob("*.json"))],
            }


@pytest.mark.parametrize("flavour", ["redis", "valkey", "redis_8"])
def test_check_do_again_back_up_and_put_back(start: Starter, tmp_path: pathlib.Path, flavour: str) -> None:
    server = start(flavour=flavour)
    fill(server, keys=50)
    site = Site(server, tmp_path)
    before, file_before = site.everything(), server.configuration_file.read_text()
    planned = site.prepare(check=True)
    assert (site.everything(), server.configuration_file.read_text()) == (before, file_before), "check mode touched it"
    assert [change.what for change in planned.changes] == [
        "setting aof-timestamp-enabled",
        "setting appendonly",
        "user lifeboat",
    ]
    done = site.prepare()
    assert (done.changes, done.by_hand) == (planned.changes, ())
    assert not done.as_dict()["restart_needed"]
    ready = site.everything()
    assert OWN not in str(ready)
    assert site.prepare().changes == ()
    assert site.everything() == ready

    # The jobs come as that user alone, and it can do nothing else.
    taken = take(describe(server, username="lifeboat", password=OWN), tmp_path / "taken")
    assert taken.rdb.stat().st_size > 0
    with redis.Redis(port=server.port, username="lifeboat", password=OWN) as client:
        for words in (
            ("SET", "a", "b"),
            ("GET", "list"),
            ("FLUSHALL",),
            ("CONFIG", "SET", "save", ""),
            ("ACL", "LIST"),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*words)

    # It was written down where the server reads it at its next start, but for what the sandbox's own file says.
    server.stop()
    assert "user lifeboat" in server.configuration_file.read_text()
    server.start()
    undone = site.prepare(check=True, absent=True)
    assert undone.changes
    site.prepare(absent=True)
    assert not any("lifeboat" in line for line in site.everything()["users"])
    assert site.prepare(absent=True).changes == ()
    assert site.everything()["notes"] == []
    assert "user lifeboat" not in server.configuration_file.read_text()


def test_a_label_takes_the_servers_time_where_no_stream_does(start: Starter, tmp_path: pathlib.Path) -> None:
    site = Site(start(), tmp_path)
    before = site.everything()
    site.prepare(kinds=["rdb"])
    with pytest.raises(errors.RedisPermissionDenied):
        mark(site.jobs, name="before", runner=Host().runner)
    assert len(site.prepare(kinds=["rdb"], labels=True).changes) == 1
    assert site.prepare(kinds=["rdb"], labels=True).changes == ()
    target, _facts = mark(site.jobs, name="before", runner=Host().runner)
    assert target.kind == "time"
    site.prepare(kinds=["rdb"])
    with pytest.raises(errors.RedisPermissionDenied):
        mark(site.jobs, name="after", runner=Host().runner)
    site.prepare(absent=True)
    assert site.everything()["users"] == before["users"]


def test_users_go_into_the_aclfile_where_there_is_one(start: Starter, tmp_path: pathlib.Path) -> None:
    users = tmp_path / "users.acl"
    users.write_text("user default on nopass ~* &* +@all\n")
    site = Site(start(settings={"aclfile": str(users)}), tmp_path)
    assert site.prepare(kinds=["rdb"]).by_hand == ()
    assert "user lifeboat on" in users.read_text()
    assert OWN not in users.read_text()
    users.chmod(0o644)
    site.prepare(kinds=["rdb"], absent=True)
    assert "lifeboat" not in users.read_text()


def test_a_password_is_renewed_only_for_our_own_user(start: Starter, tmp_path: pathlib.Path) -> None:
    site = Site(start(), tmp_path)
    site.prepare(kinds=["rdb"])
    site.jobs["password"] = "another-word-now"
    assert [change.what for change in site.prepare(kinds=["rdb"]).changes] == ["user lifeboat"]
    assert site.prepare(kinds=["rdb"]).changes == ()
    with admin(site.server) as client:
        client.execute_command("ACL", "SETUSER", "theirs", "on", ">chosen-by-them", "+ping", "+info")
    site.jobs.update(username="theirs", password="guessed")
    before = site.everything()
    with pytest.raises(errors.AccountForeign) as caught:
        site.prepare(kinds=["rdb"])
    assert "guessed" not in f"{caught.value} {caught.value.as_dict()}"
    assert site.everything() == before
    # With the right password it gets what it lacks, and loses exactly that again.
    site.jobs["password"] = "chosen-by-them"
    lacking = site.prepare(kinds=["rdb"]).changes[0].after
    assert "+sync" in lacking
    assert "+ping" not in lacking
    assert site.prepare(kinds=["rdb"]).changes == ()
    site.prepare(kinds=["rdb"], absent=True)
    with admin(site.server) as client:
        found = str(client.execute_command("ACL", "GETUSER", "theirs"))
    assert "+ping" in found
    assert "+sync" not in found


def test_what_can_not_be_prepared_has_a_name(start: Starter, tmp_path: pathlib.Path) -> None:
    server = start(password="the-administrators", users={"plain": ("word", "-@all +ping +info +config|get")})
    site = Site(server, tmp_path)
    for given, error in (
        ({"password": "guessed"}, errors.RedisAuthenticationFailed),
        ({"password": "the-administrators", "port": free_port()}, errors.RedisUnreachable),
        ({"username": "plain", "password": "word"}, errors.RedisPermissionDenied),
    ):
        site.administrator = {"port": server.port, **given}
        with pytest.raises(error) as caught:
            site.prepare()
        assert caught.value.hint
        assert "the-administrators" not in f"{caught.value} {caught.value.as_dict()}"
    # Without an address of its own it is the jobs' server.
    site.administrator = {"password": "the-administrators"}
    assert site.prepare(kinds=["rdb"]).account == "lifeboat"


def test_what_a_server_forgets_at_its_next_start_is_said_until_it_is_mended(
    start: Starter, tmp_path: pathlib.Path
) -> None:
    site = Site(start(), tmp_path)
    file = site.server.configuration_file
    # The server's own folder is where it would rewrite the file.
    moved = file.rename(file.with_suffix(".moved"))
    file.mkdir()
    first = site.prepare(kinds=["rdb"])
    assert first.changes
    assert "forgets at its next start: user lifeboat" in first.by_hand[0]
    again = site.prepare(kinds=["rdb"])
    assert (again.changes, again.by_hand) == ((), first.by_hand)
    file.rmdir()
    moved.rename(file)
    assert site.prepare(kinds=["rdb"]).by_hand == ()
    assert "user lifeboat" in file.read_text()


def test_an_old_server_has_no_stream(start: Starter, tmp_path: pathlib.Path) -> None:
    site = Site(start(flavour="redis_6"), tmp_path)
    with pytest.raises(errors.AofLogUnsupported):
        site.prepare()
