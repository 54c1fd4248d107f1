# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains of the kind static as a person uses them: made, proved, brought back, copied, thinned out, and by hand."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import time
import typing as t

import pytest

from tests.integration.ansible.plays import plays_of, run_modules
from tests.integration.files.conftest import CONFIRM, Site
from tests.support import resealing
from tests.support.file_trees import look, without_folder_times

JOB = "shop/conf/static"
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


@pytest.fixture
def site(site: Site) -> Site:
    site.describe(kind="static")
    return site


def back_up(site: Site, *words: str) -> dict[str, t.Any]:
    """Make one, and see to it that the next one is of another second: nobody could tell which is the newer one."""
    (result,) = site.lifeboat("backup --quiet --json", *words).succeeded().document["results"]
    backup: dict[str, t.Any] = result["backup"]
    while backup["id"].startswith(time.strftime("%Y%m%dT%H%M%S", time.gmtime())):
        time.sleep(0.02)
    return backup


def chain(site: Site) -> tuple[list[dict[str, t.Any]], list[dict[str, tuple[t.Any, ...]]]]:
    """A whole one and two increments, and what the tree was at each."""
    made, trees = [], []
    for number in range(3):
        if number:
            (site.tree / "server.conf").write_text(f"listen {80 + number};\n")
            (site.tree / "conf.d" / f"{number}.conf").write_text(f"{number}\n")
        if number == 2:
            (site.tree / "conf.d" / "1.conf").unlink()
            (site.tree / "tool").chmod(0o700)
        trees.append(look(site.tree))
        made.append(back_up(site))
    assert [one["parent"] for one in made] == [None, made[0]["id"], made[1]["id"]]
    return made, trees


def proved(site: Site, level: int, backup: str = JOB) -> dict[str, t.Any]:
    (result,) = site.lifeboat(f"verify {backup} --level {level} --json --quiet").document["results"]
    verification: dict[str, t.Any] = result["verification"]
    return verification


def listed(site: Site, *words: str) -> dict[str, str]:
    return {one["id"]: one["state"] for one in site.lifeboat("list --json", *words).document["backups"]}


def test_a_chain_is_planned_made_proved_and_told(site: Site) -> None:
    site.describe(kind="static", verify={"level": 4, "require_paths": [str(site.tree / "server.conf")]})
    said = site.lifeboat("backup --dry-run --quiet").succeeded().out
    assert "make a whole backup: none is known" in said
    made, _trees = chain(site)
    assert [one["content"]["stored"]["files"] for one in made] == [7, 2, 3]
    assert [payload["name"] for payload in made[2]["payloads"]] == [
        "files.tar.zst",
        "files.jsonl.zst",
        "kept.names.zst",
    ]
    said = site.lifeboat("backup --dry-run --quiet").succeeded().out
    assert f"build on {made[2]['id']}: increment 3 of at most 30 after {made[0]['id']}" in said
    found = proved(site, 4)
    assert (found["reached"], found["error"]) == (4, None)
    names = {check["name"] for check in found["checks"]}
    assert {f"files in {one['id']}" for one in made[:1]} <= names
    assert found["plain_bytes"] == made[2]["content"]["bytes"]
    assert "a whole one: it was asked for" in site.lifeboat("backup --whole --quiet").succeeded().out
    said = site.lifeboat("backup --quiet").succeeded().out
    assert "as an increment of" in said
    assert site.lifeboat("repo check --quiet").succeeded()
    assert "static" in site.lifeboat("status").out


def test_any_moment_and_any_path_of_a_chain_comes_back(site: Site) -> None:
    made, trees = chain(site)
    for number, (backup, tree) in enumerate(zip(made, trees, strict=True)):
        there = site.directory / f"restored-{number}"
        site.lifeboat(f"restore {backup['id']} -o data_directory={there} --quiet").succeeded()
        assert look(pathlib.Path(f"{there}{site.tree}")) == tree
    there = site.directory / "one"
    words = [f"data_directory={there}", "-o", f"paths=[{site.tree}/conf.d/one.conf, {site.tree}/conf.d/same.conf]"]
    site.lifeboat(f"restore {JOB} --point newest --quiet -o", *words).succeeded()
    assert set(look(pathlib.Path(f"{there}{site.tree}"))) == {".", "conf.d", "conf.d/one.conf", "conf.d/same.conf"}
    shutil.rmtree(there)
    words[0] = f"data_directory={there}"
    site.lifeboat(f"restore {JOB} --point newest --before 2020-01-01T00:00:00Z --quiet -o", *words).ended(2)


def test_in_place_puts_the_whole_chain_back_and_away_again(site: Site) -> None:
    _made, trees = chain(site)
    for name in ("server.conf", "secret.key", "conf.d/one.conf"):
        (site.tree / name).write_text("broken\n")
    (site.tree / "conf.d" / "same.conf").unlink()
    spoilt = without_folder_times(look(site.tree))
    words = f"restore {JOB} --point newest --in-place"
    plan = site.lifeboat(f"{words} --dry-run -o show_private=true --quiet").succeeded().out
    assert "-broken" in plan
    assert "+listen 82;" in plan
    done = site.lifeboat(f"{words} --quiet --json --confirm", CONFIRM).succeeded().document["restore"]
    assert without_folder_times(look(site.tree)) == without_folder_times(trees[2])
    site.lifeboat(f"restore --roll-back {done['id']} --quiet --confirm", CONFIRM).succeeded()
    assert without_folder_times(look(site.tree)) == spoilt


Change = t.Callable[[bytes], bytes]
SPOILT: list[tuple[str, int, str, Change]] = [
    # Of which of the three backups, which payload.
    ("the list of the base lacks a file", 0, "files.jsonl", lambda data: without_line(data, b"secret.key")),
    (
        "the list of the base has another hash",
        0,
        "files.jsonl",
        lambda data: data.replace(b'"sha256":"', b'"sha256":"0', 1),
    ),
    (
        "the list names another backup",
        2,
        "files.jsonl",
        lambda data: re.sub(rb'("backup":"\d{8}T\d{6}Z-)......', rb"\g<1>ffffff", data),
    ),
    (
        "the list says a file is in this tar",
        2,
        "files.jsonl",
        lambda data: re.sub(rb',"backup":"[^"]*"', b"", data, count=1),
    ),
    ("the names lack one", 2, "kept.names", lambda data: data.split(b"\0", 1)[1]),
    ("the tar lacks all", 2, "files.tar", lambda data: bytes(10240)),
]


def without_line(data: bytes, name: bytes) -> bytes:
    return b"".join(line for line in data.splitlines(keepends=True) if name not in line)


def test_what_does_not_fit_is_caught_at_level_2(site: Site) -> None:
    made, _trees = chain(site)
    untouched = site.directory / "untouched"
    shutil.copytree(site.repository, untouched)
    for name, which, payload, change in SPOILT:
        shutil.rmtree(site.repository)
        shutil.copytree(untouched, site.repository)
        resealing.mutate_payload(site.repository, str(made[which]["path"]).rstrip("/"), payload, change)
        assert proved(site, 1)["error"] is None, name
        found = proved(site, 2)
        assert found["error"] is not None, name
        assert found["reached"] == 1, name


def test_other_bytes_in_the_tar_of_the_base_are_caught_at_level_3(site: Site) -> None:
    made, _trees = chain(site)
    folder = str(made[0]["path"]).rstrip("/")
    resealing.mutate_payload(site.repository, folder, "files.tar", lambda data: data.replace(b"hunter2", b"hunter3"))
    assert proved(site, 2)["error"] is None
    found = proved(site, 3)
    assert found["error"]["code"] == "verify.content_mismatch"
    assert "secret.key" in found["error"]["message"]
    assert f"of {made[0]['id']}" in found["error"]["message"]


def test_a_copy_brings_the_chain_across_and_only_there_it_is_proved(site: Site) -> None:
    site.describe(kind="static", keep={"forever": True})
    made, trees = chain(site)
    site.describe(kind="static", keep={"forever": True}, repositories=["local", "second"])
    site.lifeboat("copy --to second --quiet").succeeded()
    assert set(listed(site, "--repository", "second")) == {one["id"] for one in made}
    (site.tree / "server.conf").write_text("listen 99;\n")
    fourth = back_up(site)
    assert fourth["parent"] == made[2]["id"]
    # Of the second repository alone, with the first one gone.
    site.repository.rename(site.directory / "gone")
    there = site.directory / "restored"
    site.lifeboat(f"restore {made[2]['id']} --repository second -o data_directory={there} --quiet").succeeded()
    assert look(pathlib.Path(f"{there}{site.tree}")) == trees[2]
    (site.directory / "gone").rename(site.repository)
    shutil.rmtree(site.directory / "second" / made[0]["path"])
    found = proved(site, 0, fourth["id"])
    assert found["copies"]["second"]["error"]["code"] == "backup.chain_broken"
    assert made[0]["id"] in found["copies"]["second"]["error"]["message"]
    assert found["copies"]["local"]["error"] is None
    assert "parent-missing" in site.lifeboat("repo check --repository second --quiet").out
    # The next one builds on nothing that is not everywhere.
    assert back_up(site)["parent"] is None


def test_retention_keeps_what_the_newest_is_built_on_and_nothing_else(site: Site) -> None:
    site.describe(kind="static", keep={"count": 1, "minimum_verified": 1})
    made, _trees = chain(site)
    assert proved(site, 3, made[2]["id"])["error"] is None
    site.lifeboat("prune --yes --allow share").ended(0)
    assert set(listed(site)) == {one["id"] for one in made}
    whole = back_up(site, "--whole")
    (site.tree / "server.conf").write_text("listen 99;\n")
    newest = back_up(site)
    assert newest["parent"] == whole["id"]
    assert proved(site, 3, newest["id"])["error"] is None
    site.lifeboat("prune --yes --allow share").ended(0)
    assert set(listed(site)) == {whole["id"], newest["id"]}
    # What the host remembers is still good.
    assert back_up(site)["parent"] == newest["id"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give owners back")
@pytest.mark.parametrize("encrypted", [False, True])
def test_the_commands_bring_a_chain_back_without_lifeboat(site: Site, encrypted: bool) -> None:
    recipient = site.key()
    site.describe(kind="static", **({"encryption": {"recipients": [recipient]}} if encrypted else {}))
    made, trees = chain(site)
    notes = (site.folder(made[2]) / "RESTORE.md").read_text()
    blocks = [block for block in _BLOCK.findall(notes) if not block.startswith(("cd ", "export AGE"))]
    into = site.directory / "by-hand"
    done = subprocess.run(
        ["bash", "-euc", "set -o pipefail\n" + "\n".join(blocks)],
        cwd=site.folder(made[2]),
        env={**os.environ, "INTO": str(into), "AGE_IDENTITY": str(site.directory / "key")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
    assert look(pathlib.Path(f"{into}{site.tree}")) == trees[2]


@pytest.mark.slow
def test_modules_and_playbooks_make_and_restore_a_chain(site: Site) -> None:
    common: dict[str, t.Any] = {
        "service": "shop",
        "source": "conf",
        "kind": "static",
        "repositories": [{"name": "local", "type": "file", "path": str(site.repository), "create": True}],
        "state_directory": str(site.directory / "state"),
    }
    make = {**common, "connection": {"paths": [str(site.tree)]}, "max_steps": 5}
    wrong, first, planned = run_modules(
        site,
        ("files_backup", {**make, "system_snapshot": True}),
        ("files_backup", make),
        ("files_backup", {**make, "whole": True}, "check"),
    )
    assert (wrong["code"], "system_snapshot" in wrong["msg"]) == ("request.invalid", True)
    assert first["backup"]["parent"] is None, first.get("msg")
    assert "it was asked for" in planned["plan"]["steps"][0]
    (site.tree / "server.conf").write_text("listen 81;\n")
    play = plays_of(site)
    assert "1 complete" in play("backup", "--tags", "files")
    newest = site.lifeboat("list --json").document["backups"][-1]
    assert newest["parent"] == first["backup"]["id"]
    (site.tree / "tool").write_text("broken\n")
    words = ["-e", f"lifeboat_restore={JOB} lifeboat_restore_in_place=true lifeboat_restore_point=newest"]
    play("restore", *words, "-e", json.dumps({"lifeboat_restore_confirm": CONFIRM}))
    assert (site.tree / "tool").read_text() == "#!/bin/sh\n"
