# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role ``standby`` and ``playbooks/dr_failback.yml`` decide on the controller."""

from __future__ import annotations

import copy
import typing as t

import pytest

from tests.unit.description.samples import description

pytest.importorskip("ansible", reason="the oldest Pythons have the engine only, no controller")

from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.recovery.plugins.filter.standby_play import (
    followers_to_make,
    servers_to_guard,
    standby_left_behind,
    standby_roles,
    standbys_to_make,
)

Json = dict[str, t.Any]
NAMES = {"south": ["192.0.2.2"]}
BACKUP = {"kind": "base", "schedule": "0 1 * * *", "repositories": ["local", "offsite"], "keep": {"within": "7d"}}
GROUPS = {"all": ["db1", "db2", "db3"]}
LOGIN = {"user": "lifeboat_standby", "password_file": "/etc/lifeboat/standby.password"}


def made(*standbys: Json, **changes: t.Any) -> list[Json]:
    data = copy.deepcopy(description())
    service = data["lifeboat_services"][0]
    service["regions"] = [
        {"name": "north", "role": "primary", "hosts": ["db1"]},
        {"name": "south", "role": "standby", "hosts": ["db2"]},
    ]
    service["dns"] = [{"name": "api.example.org", "type": "A", "ttl": 60, "values": NAMES}]
    service["sources"].append(
        {
            "name": "store",
            "engine": "postgresql",
            "connection": {"host": "/var/run/postgresql", "user": "lifeboat", "password_file": "/etc/lifeboat/jobs"},
            "service_control": {"unit": "postgresql@15-main"},
            "standbys": list(standbys),
            "backups": [
                {
                    "kind": "base",
                    "schedule": "0 1 * * *",
                    "repositories": ["local", "offsite"],
                    "keep": {"within": "7d"},
                }
            ],
            **changes,
        }
    )
    return standbys_to_make(
        data["lifeboat_services"],
        data["lifeboat_repositories"],
        data.get("lifeboat_settings"),
        host="db1",
        groups=GROUPS,
    )


def standby(name: str, host: str, **changes: t.Any) -> Json:
    return {"name": name, "connection": {"host": host, "port": 5433}, "data_directory": "/data", **changes}


def test_whoever_is_followed_is_made_first_and_its_address_is_one_that_others_reach() -> None:
    second, third = made(standby("third", "db3", follows="second"), standby("second", "db2", replication=LOGIN))
    assert (second["name"], second["host"], third["name"], third["host"]) == ("second", "db2", "third", "db3")
    # The source is reached by a socket on its own host: others reach it by the host's name, as their own role.
    assert second["primary"] == {"host": "db1", **LOGIN}
    assert third["primary"] == {"host": "db2", "port": 5433}
    assert standby_roles([second]) == [
        {
            "of": "family/store",
            "service": "family",
            "source": "store",
            "connection": {"host": "/var/run/postgresql", **LOGIN},
            "addresses": ["db2"],
        }
    ]


def test_only_standbys_whose_data_folder_is_described_are_ours() -> None:
    assert made({"name": "yours", "connection": {"host": "db2"}}) == []


def test_a_ring_and_a_host_that_nobody_knows_are_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="follow one another in a ring"):
        made(standby("second", "db2", follows="third"), standby("third", "db3", follows="second"))
    with pytest.raises(AnsibleFilterError, match="which the inventory does not have"):
        made(standby("second", "db9"))


def test_a_folder_of_another_host_is_no_repository_to_restore_from() -> None:
    (found,) = made(standby("second", "db2", seed="repository"))
    assert [one["name"] for one in found["repositories"]] == ["offsite"]


def test_both_change_places_on_the_way_home() -> None:
    standbys = made(standby("second", "db2", replication=LOGIN, region="south"))
    left = standby_left_behind(standbys, "second", "/var/lib/postgresql/15/main")
    assert (left["name"], left["host"], left["data_directory"]) == ("store", "db1", "/var/lib/postgresql/15/main")
    assert left["primary"] == {"host": "db2", "port": 5433, **LOGIN}
    assert left["service_control"] == {"unit": "postgresql@15-main"}
    (name,) = standbys[0]["names"]
    assert (name["record"]["name"], name["values"]) == ("api.example.org", ["192.0.2.2"])
    # Without a role of its own it comes as the connection says, on the way home as well.
    same = {"host": "db2", "port": 5433, "user": "lifeboat", "password_file": "/etc/lifeboat/jobs"}
    (plain,) = made({**standby("second", "db2"), "connection": same})
    assert standby_left_behind([plain], "second", "/data")["primary"] == same
    assert standby_roles([plain]) == []
    with pytest.raises(AnsibleFilterError, match=r"describe fencing\.data_directory"):
        standby_left_behind(standbys, "second", "")


def followers(engine: str, connection: Json, *standbys: Json) -> list[Json]:
    data = copy.deepcopy(description())
    kind = {"redis": "rdb", "mongodb": "full"}[engine]
    source: Json = {"name": "cache", "engine": engine, "connection": connection, "standbys": list(standbys)}
    source["backups"] = [{**BACKUP, "kind": kind}]
    data["lifeboat_services"] = [{"name": "family", "sources": [source]}]
    return followers_to_make(data["lifeboat_services"], data["lifeboat_repositories"], None, host="db1", groups=GROUPS)


def test_a_replica_of_redis_reaches_its_primary_by_an_address_that_others_have() -> None:
    local = {"unix_socket": "/run/redis.sock", "password_file": "/etc/lifeboat/redis"}
    (one,) = followers("redis", local, {"name": "copy", "connection": {"host": "db2"}})
    assert (one["id"], one["host"]) == ("family/cache/copy", "db2")
    assert one["source"] == local
    assert one["primary"] == {"host": "db1", "password_file": "/etc/lifeboat/redis"}
    with pytest.raises(AnsibleFilterError, match="runs on db9, which the inventory does not have"):
        followers("redis", local, {"name": "copy", "connection": {"host": "db9"}})


def test_a_member_of_mongodb_is_made_only_with_the_rights_that_are_described() -> None:
    far = {"name": "far", "connection": {"uri": "mongodb://db2"}, "member": "db2:27017"}
    assert followers("mongodb", {"uri": "mongodb://db1"}, far) == []
    (one,) = followers("mongodb", {"uri": "mongodb://db1"}, {**far, "rights": {"votes": 0}})
    assert (one["member"], one["rights"]) == ("db2:27017", {"priority": 0, "votes": 0})
    nowhere = {"name": "far", "connection": {"uri": "mongodb://db2"}, "rights": {}}
    with pytest.raises(AnsibleFilterError, match="describe member, HOST:PORT"):
        followers("mongodb", {"uri": "mongodb://db1"}, nowhere)


def test_every_server_that_could_be_the_primary_is_guarded_where_it_is() -> None:
    data = copy.deepcopy(description())
    backups = [{"kind": "rdb", "schedule": "0 1 * * *", "repositories": ["local"], "keep": {"within": "7d"}}]
    service = data["lifeboat_services"][0]
    service["sources"] += [
        {
            "name": "store",
            "engine": "postgresql",
            "connection": {"host": "/var/run/postgresql", "user": "lifeboat"},
            "service_control": {"unit": "postgresql@15-main.service"},
            "fencing": {"data_directory": "/north", "methods": [{"witness": {"repository": "local"}}]},
            "standbys": [standby("south", "db2", data_directory="/south"), standby("nowhere", "unknown")],
            "backups": [BACKUP],
        },
        {
            "name": "second-cache",
            "engine": "redis",
            "connection": {"port": 6379},
            "service_control": {"unit": "redis-server"},
            "standbys": [{"name": "copy", "inventory_host": "db3", "connection": {"port": 6379}}],
            "backups": backups,
        },
        {
            "name": "alone",
            "engine": "redis",
            "connection": {},
            "service_control": {"unit": "other"},
            "backups": backups,
        },
    ]
    found = servers_to_guard(
        data["lifeboat_services"],
        data["lifeboat_repositories"],
        data.get("lifeboat_settings"),
        host="db1",
        groups=GROUPS,
        redis_configuration="/etc/redis.conf",
    )

    name = service["name"]
    new = [one for one in found if one["of"].partition("/")[2] in ("store", "second-cache", "alone")]
    assert [(one["of"], one["host"], one["unit"], one["standby"]) for one in new] == [
        (f"{name}/store", "db1", "postgresql@15-main", ["--data-directory", "/north"]),
        (f"{name}/store", "db2", "postgresql@15-main", ["--data-directory", "/south"]),
        (f"{name}/second-cache", "db1", "redis-server", ["--configuration-file", "/etc/redis.conf"]),
        (f"{name}/second-cache", "db3", "redis-server", ["--configuration-file", "/etc/redis.conf"]),
    ]
    assert [one["lease"] for one in new] == [30, 30, 0, 0]
