# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications, assets, settings and a set of them in a bucket of a real S3 server, made, proved and brought back.

Then the same host with credentials that may add objects and nothing else.
"""

from __future__ import annotations

import pathlib
import subprocess
import time
import typing as t
from dataclasses import dataclass

import pytest

from sandbox.s3 import S3Identity, S3Server
from tests.support.command_line import CommandLine, describe
from tests.support.file_trees import look, make_tree, without_folder_times
from tests.support.git_repositories import Repository

pytestmark = pytest.mark.timeout(600)

WRITER = S3Identity.restricted("writer", write=["vault"])
Json = dict[str, t.Any]


@pytest.fixture(scope="module")
def server() -> t.Iterator[S3Server]:
    with S3Server(buckets=("vault",), identities=(WRITER,)) as one:
        yield one


@dataclass(frozen=True)
class Vault:
    """One service of files, and the bucket that its backups go to."""

    directory: pathlib.Path
    server: S3Server
    app: Repository
    tree: pathlib.Path
    lifeboat: CommandLine

    def become(self, who: S3Identity) -> None:
        """Have the host work with these credentials."""
        text = f"AWS_ACCESS_KEY_ID={who.access_key}\nAWS_SECRET_ACCESS_KEY={who.secret_key}\n"
        (self.directory / "s3.env").write_text(text)

    def back_up(self, job: str, *words: str) -> Json:
        """Make one; the next one is of another second."""
        (result,) = self.lifeboat(f"backup {job} --quiet --json", *words).succeeded().document["results"]
        backup: Json = result["backup"]
        while backup["id"].startswith(time.strftime("%Y%m%dT%H%M%S", time.gmtime())):
            time.sleep(0.02)
        return backup

    def prove(self, job: str) -> Json:
        (result,) = self.lifeboat(f"verify {job} --level 4 --quiet --json").succeeded().document["results"]
        verification: Json = result["verification"]
        return verification


@pytest.fixture
def vault(server: S3Server, tmp_path: pathlib.Path) -> Vault:
    app, tree = Repository.make(tmp_path / "srv" / "shop"), make_tree(tmp_path / "media")
    subprocess.run(["age-keygen", "-o", tmp_path / "key"], check=True, capture_output=True)
    public = subprocess.run(["age-keygen", "-y", tmp_path / "key"], check=True, capture_output=True, text=True)
    stored = {"repositories": ["offsite"], "keep": {"within": "30d"}}
    sources = [
        {"name": "code", "connection": {"paths": [str(app.path)]}, "kind": "app"},
        {"name": "media", "connection": {"paths": [str(tree)]}, "kind": "static"},
        {"name": "settings", "connection": {"paths": [str(tree / "conf.d")]}, "kind": "config"},
        {"name": "system", "kind": "system"},
    ]
    lifeboat = describe(
        tmp_path / "lifeboat.json",
        {
            "lifeboat_settings": {
                "state_directory": str(tmp_path / "state"),
                "scratch_directory": str(tmp_path / "scratch"),
                "encryption": {"recipients": [public.stdout.strip()]},
                "decryption": {"identity_file": str(tmp_path / "key")},
            },
            "lifeboat_repositories": {
                "offsite": {
                    "type": "s3",
                    "bucket": "vault",
                    "prefix": tmp_path.name,
                    "region": server.region,
                    "endpoint_url": server.endpoint_url,
                    "credentials": {"file": str(tmp_path / "s3.env")},
                }
            },
            "lifeboat_services": [
                {
                    "name": "shop",
                    "sources": [
                        {"engine": "files", "backups": [{"kind": one.pop("kind"), **stored}], **one} for one in sources
                    ],
                }
            ],
        },
    )
    made = Vault(directory=tmp_path, server=server, app=app, tree=tree, lifeboat=lifeboat)
    made.become(server.administrator)
    return made


def test_all_kinds_are_made_proved_and_brought_back(vault: Vault) -> None:
    assert vault.back_up("shop/code", "--trigger", "deployment")["state"] == "complete"
    assert vault.back_up("shop/code", "--trigger", "deployment")["state"] == "unchanged"
    assert vault.back_up("shop/settings", "--trigger", "change")["state"] == "complete"
    assert vault.back_up("shop/settings", "--trigger", "change")["state"] == "unchanged"
    before = look(vault.tree)
    whole = vault.back_up("shop/media")
    (vault.tree / "server.conf").write_text("listen 81;\n")
    increment = vault.back_up("shop/media")
    assert (increment["parent"], increment["content"]["stored"]["files"]) == (whole["id"], 1)
    for job in ("shop/code/app", "shop/media/static", "shop/settings/config"):
        found = vault.prove(job)
        assert (found["reached"], found["error"]) == (4, None), job

    there = vault.directory / "restored"
    day, moment = increment["id"][:8], increment["id"][9:15]
    time_of_it = f"{day[:4]}-{day[4:6]}-{day[6:]}T{moment[:2]}:{moment[2:4]}:{moment[4:]}Z"
    # The increment was begun in that second, the whole one in an earlier one.
    earlier = vault.lifeboat(
        f"restore shop/media/static --before {time_of_it} --point newest -o data_directory={there}"
    )
    assert whole["id"] in earlier.succeeded().out
    assert look(pathlib.Path(f"{there}{vault.tree}")) == before
    one = vault.directory / "one"
    path = str(vault.tree / "server.conf")
    vault.lifeboat(f"restore shop/media/static --quiet -o data_directory={one} -o paths=[{path}]").succeeded()
    assert pathlib.Path(f"{one}{path}").read_text() == "listen 81;\n"
    code = vault.directory / "code"
    vault.lifeboat(f"restore shop/code/app --quiet -o data_directory={code}").succeeded()
    restored = Repository(pathlib.Path(f"{code}{vault.app.path}"))
    assert restored.refs() == vault.app.refs()
    assert restored.git("status", "--porcelain") == ""

    members = vault.back_up("shop/system")["content"]["members"]
    assert [f"{one['source']}/{one['kind']}" for one in members] == ["settings/config", "code/app", "media/static"]
    proved = vault.lifeboat("verify shop/system --level 4 --quiet --json").succeeded().document["results"]
    assert [one["verification"]["reached"] for one in proved] == [4] * 4
    vault.lifeboat("repo check --quiet").succeeded()


def test_a_host_that_may_only_add_objects_makes_whole_backups_again_and_again(vault: Vault) -> None:
    vault.become(WRITER)
    made = [vault.back_up("shop/media"), vault.back_up("shop/media")]
    code = [vault.back_up("shop/code", "--trigger", "deployment") for _turn in range(2)]
    assert [one["state"] for one in (*made, *code)] == ["complete"] * 4
    assert [one["parent"] for one in made] == [None, None]
    vault.become(vault.server.administrator)
    assert (vault.prove("shop/media/static")["error"], vault.prove("shop/code/app")["error"]) == (None, None)
    there = vault.directory / "restored"
    vault.lifeboat(f"restore shop/media/static --quiet -o data_directory={there}").succeeded()
    assert without_folder_times(look(pathlib.Path(f"{there}{vault.tree}"))) == without_folder_times(look(vault.tree))
