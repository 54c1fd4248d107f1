# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MongoDB comes back by RESTORE.md and the genuine mongorestore alone.

No distribution has MongoDB, so this host has to do: a server that is empty, and a PATH that leads to the genuine tools.
"""

from __future__ import annotations

import os
import subprocess
import typing as t
from pathlib import Path

import pytest
from pymongo import MongoClient

from sandbox.mongodb import MongoReplicaSet, MongoServer
from tests.breakglass.conftest import Bucket
from tests.breakglass.guide import script_of
from tests.integration.mongodb.rig import vendor_tools

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]
# Other ways to the same end.
_OTHER_WAYS = ("--nsInclude", "--restoreDbUsersAndRoles")


@pytest.fixture(scope="module")
def tools() -> Path:
    return vendor_tools()


@pytest.fixture(scope="module")
def source(tools: Path) -> t.Iterator[str]:
    del tools  # without them there is nothing to fill a server for
    with MongoReplicaSet() as server, MongoClient(server.uri) as client:
        database = client["shop"]
        database["orders"].insert_many([{"_id": number, "text": "x" * 50} for number in range(2000)])
        database["orders"].create_index("text", name="by_text")
        yield server.uri


@pytest.mark.parametrize("kind", ["plain", "encrypted"])
def test_everything(tools: Path, source: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    bucket: Bucket = request.getfixturevalue("bucket" if kind == "plain" else "encrypted")
    folder = bucket.back_up({"engine": "mongodb", "connection": {"uri": source}}, "full")
    guide = bucket.guide(folder)
    with MongoServer(directory=tmp_path / "target") as target:
        uri = "mongodb://USER:PASSWORD@HOST:27017/?authSource=admin"
        assert uri in guide
        guide = guide.replace(uri, target.uri).replace("/path/to/identity.txt", str(bucket.key))
        work = tmp_path / "work"
        work.mkdir()
        script = script_of(guide, folder=folder, bucket=str(bucket.repository), work=str(work), without=_OTHER_WAYS)
        environment = {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            ["bash"], input=script, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        with MongoClient(target.uri) as client, MongoClient(source) as original:
            names = ["orders"]
            hashes = [one["shop"].command("dbHash", collections=names)["md5"] for one in (client, original)]
            assert hashes[0] == hashes[1]
            assert "by_text" in client["shop"]["orders"].index_information()
