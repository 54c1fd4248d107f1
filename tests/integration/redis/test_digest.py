# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's digest of the source, held against that of the restored copy: it sees a value that counts don't."""

from __future__ import annotations

import pathlib
import threading
import time
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.questions import Check
from tests.integration.redis.conftest import Starter
from tests.integration.redis.rig import Rig
from tests.integration.redis.servers import admin, digest, fill, program

pytestmark = pytest.mark.slow


@pytest.fixture
def rig(tmp_path: pathlib.Path) -> Rig:
    return Rig(folder=tmp_path, host=Host(journal=MemoryJournal()))


def noted(rig: Rig, place: t.Any) -> t.Any:
    return rig.manifest(place).content["digest"]


def digest_check(rig: Rig, place: t.Any, **options: t.Any) -> Check:
    (found,) = (check for check in rig.compare(place, **options) if check.name == "digest")
    return found


@pytest.mark.parametrize("flavour", ["redis", "redis_6", "redis_8", "valkey"])
@pytest.mark.parametrize("kind", ["rdb", "aof"])
def test_the_copy_has_the_digest_of_the_source(start: Starter, rig: Rig, kind: str, flavour: str) -> None:
    source = start(append_only=True, flavour=flavour)
    fill(source, keys=200)
    place = rig.back_up(source, kind=kind, record_digest=True)
    assert noted(rig, place) in digest(source)
    check = digest_check(rig, place, server_program=str(program(flavour)))
    assert (check.state, check.found) == ("passed", noted(rig, place)), check.message


def test_another_value_under_the_same_key_is_found_by_nothing_else(start: Starter, rig: Rig) -> None:
    source = start()
    with admin(source) as client:
        client.set("balance", "100")
    other = rig.back_up(source, source="other")
    with admin(source) as client:
        client.set("balance", "900")
    place = rig.back_up(source, record_digest=True)
    # What was noted of the one under the other's bytes: as many keys, all checksums right.
    keep = ("crc64", "rdb_size", "snapshot_time", "auxiliary")
    rig.note(place, **{name: rig.manifest(other).content[name] for name in keep})
    rig.mutate(place, lambda _data: rig.plain(other))
    found = {check.name: check for check in rig.compare(place)}
    assert [name for name, check in found.items() if check.state == "failed"] == ["digest"]
    assert "other keys or values" in found["digest"].message


def test_what_changes_meanwhile_has_no_digest(start: Starter, rig: Rig) -> None:
    source = start()
    fill(source, keys=50)
    stop = threading.Event()

    def write() -> None:
        with admin(source) as client:
            while not stop.is_set():
                client.incr("counter")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        place = rig.back_up(source, record_digest=True)
    finally:
        stop.set()
        writer.join()
    assert noted(rig, place) is None
    assert any("changed while it was backed up" in one for one in rig.manifest(place).content["warnings"])
    assert "digest" not in {check.name for check in rig.compare(place)}


def test_a_server_that_does_not_allow_it_is_backed_up_all_the_same(start: Starter, rig: Rig) -> None:
    source = start()
    fill(source, keys=50)
    with admin(source) as client:
        client.execute_command("ACL", "SETUSER", "default", "-debug")
    place = rig.back_up(source, record_digest=True)
    assert noted(rig, place) is None
    assert any("digest of the data can't be noted" in one for one in rig.manifest(place).content["warnings"])


def test_keys_that_expired_since_say_nothing(start: Starter, rig: Rig) -> None:
    source = start()
    fill(source, keys=50)
    with admin(source) as client:
        client.set("soon", "x", px=1500)
    place = rig.back_up(source, record_digest=True)
    assert noted(rig, place)
    time.sleep(1.6)
    check = digest_check(rig, place)
    assert (check.state, check.message) == ("skipped", "digest: 1 keys have expired since")


def test_nobody_is_asked_unless_it_is_wanted(start: Starter, rig: Rig) -> None:
    source = start()
    with admin(source) as client:
        client.execute_command("CONFIG", "RESETSTAT")
        place = rig.back_up(source)
        assert not [name for name in client.info("commandstats") if name.startswith("cmdstat_debug")]
    assert "digest" not in rig.manifest(place).content
