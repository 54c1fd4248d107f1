# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``docs/runbooks/pitr-mongodb.md``, walked through with a real server."""

from __future__ import annotations

import datetime
import time
import typing as t

import pytest
from pymongo import MongoClient

from sandbox.mongodb import MongoReplicaSet
from tests.integration.runbooks.walk import Walk, backup

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PAGE = "pitr-mongodb.md"


def pause() -> None:
    """Two whole seconds later: a window ends with the last whole second, and within one second it is but a moment."""
    time.sleep(2.1)


@pytest.fixture
def client(walk: Walk) -> t.Iterator[MongoClient[t.Any]]:
    """A database whose orders were all deleted; what was written before and after that is in the oplog alone."""
    with MongoReplicaSet() as server, MongoClient(server.uri) as one:
        uri_file = walk.folder / "uri"
        uri_file.write_text(server.uri, encoding="utf-8")
        uri_file.chmod(0o600)
        lifeboat = walk.describe(
            {
                "name": "main",
                "engine": "mongodb",
                "connection": {"uri_file": str(uri_file)},
                "backups": [
                    backup("full"),
                    {"kind": "oplog", "schedule": "* * * * *", "repositories": ["local"], "keep": {"within": "7d"}},
                ],
            }
        )
        shop = one["shop"]
        shop["orders"].insert_many([{"_id": number} for number in range(300)])
        lifeboat("ship --quiet").succeeded()
        lifeboat("backup --quiet").succeeded()
        pause()
        shop["orders"].insert_many([{"_id": number} for number in range(300, 400)])
        shop["customers"].insert_one({"_id": "ann"})
        shop["customers"].drop()
        shop["customers"].insert_one({"_id": "bob"})
        lifeboat("ship --quiet").succeeded()
        walk.variables["SERVER"] = server.uri.partition("//")[2].partition("/")[0]
        walk.variables["WHEN"] = datetime.datetime.now(tz=datetime.UTC).replace(microsecond=0).isoformat()
        yield one


def test_every_section(walk: Walk, client: MongoClient[t.Any]) -> None:
    shop = client["shop"]
    before = set(client.list_database_names())
    walk.through(PAGE, 1, 2, 3, 4)
    assert set(client.list_database_names()) == before, "the copy was removed at the end of section 4"
    walk.through(PAGE, 1, 3, 5)
    copy = client["shop_recovery"]
    assert copy["orders"].count_documents({}) == 400
    assert {one["_id"] for one in copy["customers"].find()} == {"ann", "bob"}
    client.drop_database("shop_recovery")
    walk.through(PAGE, 1, 2, 3, 6)
    assert shop["orders"].count_documents({}) == 400
    assert [one["_id"] for one in shop["customers"].find()] == ["ann"]
    walk.through("restore-mongodb.md", 1, 6)
    assert [one["_id"] for one in shop["customers"].find()] == ["bob"]
