# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real replica set is prepared for its backups and put back, while it runs."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.preparation import Prepared, PrepareRequest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.label_mark import mark
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_window_guard import minimum_hours
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.prepare import prepare_mongodb
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.prepare_oplog import size_mib
from sandbox.mongodb import MongoReplicaSet, MongoServer
from sandbox.ports import free_port
from tests.integration.mongodb.rig import SECRET, Source
from tests.integration.mongodb.streaming import Streaming

OWN = "lifeboats-own-word"


class Site:
    """A replica set and what a role says about it; the jobs' user is removed from it afterwards."""

    def __init__(self, servers: MongoReplicaSet, folder: Path) -> None:
        self.servers = servers
        self.state = folder / "state"
        self.jobs = servers.uri_of("lifeboat", OWN)
        self.administrator = servers.uri

    def prepare(
        self, *, kinds: t.Sequence[str] = ("full", "oplog"), check: bool = False, absent: bool = False, **options: t.Any
    ) -> Prepared:
        request = PrepareRequest(
            service="shop",
            source="main",
            connection={"uri": self.jobs},
            administrator={"uri": self.administrator, "server_selection_timeout": 3},
            kinds=tuple(kinds),
            options=options,
            absent=absent,
            check=check,
            state_directory=str(self.state),
        )
        return prepare_mongodb(request, host=Host())

    def everything(self) -> dict[str, t.Any]:
        """What preparing may touch."""
        with self.servers.client() as client:
            users = client.admin.command({"usersInfo": 1, "showCredentials": True})["users"]
            return {
                "users": sorted(str(user) for user in users),
                "size": size_mib(client),
                "hours": minimum_hours(client),
                "notes": [path.read_text() for path in sorted(self.state.rglob("*.json"))],
            }


@pytest.fixture
def site(guarded: MongoReplicaSet, tmp_path: Path) -> t.Iterator[Site]:
    yield Site(guarded, tmp_path)
    with guarded.client() as client:
        for user in client.admin.command("usersInfo")["users"]:
            if user["user"] in ("lifeboat", "theirs"):
                client.admin.command("dropUser", user["user"])


def test_check_do_again_back_up_and_put_back(site: Site, tmp_path: Path) -> None:
    before = site.everything()
    wanted: dict[str, t.Any] = {"oplog_mib": before["size"] + 100, "oplog_hours": 30.0}
    planned = site.prepare(check=True, **wanted)
    assert site.everything() == before, "check mode touched something"
    assert [change.what.split(" of ")[0] for change in planned.changes] == [
        "user lifeboat",
        "size",
        "least hours",
    ]
    assert "backup, clusterMonitor" in planned.changes[0].after
    assert SECRET not in str(planned.as_dict())
    assert OWN not in str(planned.as_dict())

    done = site.prepare(**wanted)
    assert done.changes == planned.changes
    assert not done.as_dict()["restart_needed"]
    assert "oplogMinRetentionHours: 30" in done.by_hand[0], "the server forgets it at its next start"
    ready = site.everything()
    assert (ready["size"], ready["hours"]) == (before["size"] + 100, 30)
    assert site.prepare(**wanted).changes == ()
    assert site.everything() == ready

    # The jobs come as that user alone, and it can do nothing else.
    source = Source(uri=site.jobs, folder=tmp_path / "dump")
    assert source.dump().content
    Streaming(uri=site.jobs, folder=tmp_path / "stream").run()
    _target, marked = mark({"uri": site.jobs}, name="before", runner=Host().runner)
    assert marked == {"note": True}, "a label takes no right more"
    from pymongo import MongoClient
    from pymongo.errors import OperationFailure

    with MongoClient(site.jobs) as client:
        for forbidden in (
            lambda: client.shop.orders.insert_one({"_id": "intruder"}),
            client.shop.orders.drop,
            lambda: client.admin.command("createUser", "other", pwd="x", roles=["root"]),
            lambda: client.admin.command({"replSetResizeOplog": 1, "size": 990.0}),
        ):
            with pytest.raises(OperationFailure, match="not authorized"):
                forbidden()

    # What sets parameters of the server gets one role more, and loses it with the user.
    assert site.prepare(manages=True, **wanted).changes[0].after == "with hostManager"
    assert site.prepare(check=True, absent=True).changes
    assert site.prepare(absent=True).changes
    assert site.everything() == before
    assert site.prepare(absent=True).changes == ()


def test_a_password_is_renewed_only_for_our_own_user(site: Site) -> None:
    site.prepare(kinds=["full"], oplog_mib=0, oplog_hours=0.0)  # as the role says that both are left alone
    site.jobs = site.servers.uri_of("lifeboat", "another-word-now")
    (change,) = site.prepare(kinds=["full"]).changes
    assert change.what == "password of the user lifeboat"
    assert site.prepare(kinds=["full"]).changes == ()

    site.servers.create_user("theirs", "chosen-by-them", ["clusterMonitor"])
    site.jobs = site.servers.uri_of("theirs", "guessed")
    before = site.everything()
    with pytest.raises(errors.AccountForeign) as caught:
        site.prepare(kinds=["full"])
    assert "guessed" not in f"{caught.value} {caught.value.as_dict()}"
    assert site.everything() == before


def test_rights_that_were_there_stay(site: Site) -> None:
    site.servers.create_user("theirs", "chosen-by-them", ["clusterMonitor"])
    site.jobs = site.servers.uri_of("theirs", "chosen-by-them")
    before = site.everything()
    assert [change.after for change in site.prepare(kinds=["full"]).changes] == ["with backup"]
    site.prepare(kinds=["full"], absent=True)
    assert site.everything() == before


def test_what_can_not_be_prepared_has_a_name(site: Site, standalone: MongoServer) -> None:
    right = site.administrator
    with pytest.raises(errors.RequestInvalid, match="oplog_hours"):
        site.prepare(oplog_hours=-1.0)
    before = site.everything()
    site.administrator = site.servers.uri_of("root", "guessed")
    with pytest.raises(errors.MongoAuthenticationFailed):
        site.prepare()
    site.administrator = f"mongodb://127.0.0.1:{free_port()}/"
    with pytest.raises(errors.MongoUnreachable):
        site.prepare()
    site.servers.create_user("theirs", "chosen-by-them", ["backup", "clusterMonitor"])
    try:
        site.administrator = site.servers.uri_of("theirs", "chosen-by-them")
        with pytest.raises(errors.MongoNotAuthorised):
            site.prepare()
    finally:
        with site.servers.client() as client:
            client.admin.command("dropUser", "theirs")
    site.administrator, site.jobs = standalone.uri, standalone.uri
    with pytest.raises(errors.MongoNoOplog, match="standalone") as caught:
        site.prepare()
    assert "rs.initiate()" in caught.value.hint
    assert site.prepare(kinds=["full"]).account is None
    site.administrator = right
    assert site.everything() == before
