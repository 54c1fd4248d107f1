# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of files on a real file system: what is stored, what is refused, and when nothing is made."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tarfile
import time

import pytest

from tests.integration.files.conftest import JOB, Site
from tests.support.children import ENGINE, environment, python


def test_a_backup_has_a_tar_a_list_and_says_what_is_in_it(site: Site) -> None:
    backup = site.back_up()
    assert backup["state"] == "complete"
    assert [payload["name"] for payload in backup["payloads"]] == ["files.tar.zst", "files.jsonl.zst"]
    content = backup["content"]
    assert content["roots"] == [str(site.tree)]
    assert content["counts"] == {"fifo": 1, "file": 7, "folder": 2, "hard link": 1, "link": 2}
    assert content["entries"] == 13
    assert (content["doubts"], content["missing"], content["system"]) == ([], [], None)
    # Ten megabytes of holes are no bytes.
    assert backup["plain_bytes"] < 200_000


def test_two_backups_of_one_tree_store_the_same_bytes(site: Site) -> None:
    first, second = site.back_up(), site.back_up()
    assert [one["sha256"] for one in first["payloads"]] == [one["sha256"] for one in second["payloads"]]


def test_on_change_nothing_is_made_when_nothing_changed(site: Site) -> None:
    first = site.lifeboat("backup --quiet --json --trigger change").succeeded().document["results"][0]["backup"]
    assert first["state"] == "complete"
    again = site.lifeboat("backup --quiet --json --trigger change").succeeded()
    told = again.document["results"][0]["backup"]
    assert (told["state"], told["id"]) == ("unchanged", first["id"])
    assert "unchanged since" in site.lifeboat("backup --quiet --trigger change").succeeded().out
    assert len(site.lifeboat("list --json").document["backups"]) == 1
    (site.tree / "server.conf").write_text("listen 81;\n")
    third = site.lifeboat("backup --quiet --json --trigger change").succeeded().document["results"][0]["backup"]
    assert third["state"] == "complete"
    # A scheduled one always stores.
    assert site.back_up()["state"] == "complete"
    assert len(site.lifeboat("list --json").document["backups"]) == 3
    assert "  ok " in site.lifeboat("status").succeeded().out


def test_on_change_a_repository_that_lacks_the_newest_gets_one(site: Site) -> None:
    site.back_up()
    time.sleep(1.1)  # of two backups of one second nobody can tell which is the newer one
    site.describe(repositories=["local", "second"])
    made = site.lifeboat("backup --quiet --json --trigger change").succeeded().document["results"][0]["backup"]
    assert made["state"] == "complete"
    again = site.lifeboat("backup --quiet --json --trigger change").succeeded().document["results"][0]["backup"]
    assert again["state"] == "unchanged"


def test_a_missing_path_is_refused_by_name_unless_it_is_optional(site: Site) -> None:
    site.describe(paths=[str(site.tree), f"{site.tree}/gone.conf", f"{site.tree}/none/*"])
    said = site.lifeboat("backup --quiet").refused("files.missing", hint="optional_paths")
    assert f"{site.tree}/gone.conf" in said.err
    assert f"{site.tree}/none/*" in said.err
    assert site.lifeboat("list --json").document["backups"] == []
    site.describe(optional_paths=[f"{site.tree}/gone.conf"])
    backup = site.back_up()
    assert backup["content"]["missing"] == [f"{site.tree}/gone.conf"]
    assert backup["warnings"] == [f"Optional, and not on this host: {site.tree}/gone.conf."]


def test_another_user_is_told_what_it_may_not_read(site: Site) -> None:
    code = (
        "import os, sys\n"
        f"from {ENGINE}.core.clock import SystemClock\n"
        f"from {ENGINE}.core.journal import MemoryJournal\n"
        f"from {ENGINE}.core.runner import SubprocessRunner\n"
        f"from {ENGINE}.core.errors import FilesUnreadable\n"
        f"from {ENGINE}.files.options import options_from_description\n"
        f"from {ENGINE}.files.producer import FilesProducer\n"
        "os.chdir(sys.argv[1]); os.setgid(65534); os.setgroups([]); os.setuid(65534)\n"
        "options = options_from_description({'connection': {'paths': [sys.argv[2]]}})\n"
        "producer = FilesProducer(options=options, runner=SubprocessRunner(), clock=SystemClock(),"
        " journal=MemoryJournal())\n"
        "try:\n    producer.inspect()\nexcept FilesUnreadable as error:\n    print(error.message)\n"
    )
    if os.geteuid() != 0:
        pytest.skip("needs to become another user")
    # pytest's own folders are private: a place that everybody gets to.
    place = f"/tmp/lifeboat-unreadable-{os.getpid()}"
    os.mkdir(place, 0o755)
    try:
        tree = shutil.copytree(site.tree, f"{place}/app", symlinks=True, ignore=shutil.ignore_patterns("queue"))
        os.chmod(f"{place}/app/secret.key", 0o600)
        done = subprocess.run(
            python(code, place, str(tree)), env=environment(), capture_output=True, text=True, timeout=60, check=False
        )
        assert "May not be read" in done.stdout, done.stdout + done.stderr
        assert f"{tree}/secret.key" in done.stdout
        assert "server.conf" not in done.stdout
    finally:
        shutil.rmtree(place)


def test_sockets_are_left_out_and_counted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site.tree)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("app.sock")
        assert site.back_up()["content"]["sockets"] == 1


def test_a_description_of_the_host_lies_beside(site: Site) -> None:
    site.describe(options={"system_snapshot": True})
    backup = site.back_up()
    assert [payload["name"] for payload in backup["payloads"]][-1] == "system.tar.zst"
    assert "kernel.txt" in backup["content"]["system"]["members"]
    plain = site.directory / "system.tar"
    subprocess.run(["zstd", "-dq", str(site.folder(backup) / "system.tar.zst"), "-o", str(plain)], check=True)
    with tarfile.open(plain) as archive:
        names = archive.getnames()
        kernel = archive.extractfile("system/kernel.txt")
        assert kernel is not None
        assert os.uname().release.encode() in kernel.read()
        packages = archive.extractfile("system/packages.txt")
        assert packages is not None
        text = packages.read()
    assert names[0] == "system"
    missing = backup["content"]["system"]["missing_tools"]
    assert shutil.which("dpkg-query") is None or b"tar\t" in text
    assert [tool for tool in missing if shutil.which(tool)] == []


def test_it_goes_through_encryption_to_several_repositories(site: Site) -> None:
    recipient = site.key()
    site.describe(repositories=["local", "second"], encryption={"recipients": [recipient]})
    backup = site.back_up()
    assert {one["state"] for one in backup["repositories"]} == {"complete"}
    stored = b"".join(path.read_bytes() for path in site.folder(backup).iterdir() if path.suffix == ".age")
    assert stored
    assert b"listen 80" not in stored
    site.lifeboat(f"verify {JOB} --level 4 --quiet").succeeded()
