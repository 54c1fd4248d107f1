# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files brought back: beside and in place, whole and by path, and back again to what was there before."""

from __future__ import annotations

import io
import os
import pathlib
import shutil
import tarfile
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files import exchange, roots
from tests.integration.files.conftest import CONFIRM, JOB, Site
from tests.support import resealing
from tests.support.file_trees import look, make_tree, without_folder_times

REACHABLE = pathlib.Path("/tmp")


def restored(site: Site, *words: str, status: int = 0) -> dict[str, t.Any]:
    said = site.lifeboat(f"restore {JOB} --point newest --quiet --json", *words).ended(status)
    document: dict[str, t.Any] = said.document
    return document


def in_place(site: Site, *words: str) -> dict[str, t.Any]:
    found: dict[str, t.Any] = restored(site, "--in-place", "--confirm", CONFIRM, *words)["restore"]
    return found


def planned(site: Site, *words: str) -> dict[str, t.Any]:
    found: dict[str, t.Any] = restored(site, "--in-place", "--dry-run", *words)["plan"]
    return found


def kept(site: Site) -> list[pathlib.Path]:
    """What restores in place left beside the tree."""
    return sorted(site.tree.parent.glob(".lifeboat-restore-*"))


def spoil(tree: pathlib.Path) -> None:
    """Change it in every way: contents, modes, kinds, things that are gone and things that are new."""
    (tree / "server.conf").write_text("broken\n")
    (tree / "secret.key").chmod(0o644)
    if os.geteuid() == 0:
        os.chown(tree / "conf.d" / "one.conf", 12, 34)
    (tree / "tool").unlink()
    (tree / "current").unlink()
    (tree / "current").mkdir()
    (tree / "current" / "lost").write_text("lost\n")
    (tree / "queue").unlink()
    (tree / "queue").write_text("a file now\n")
    (tree / "conf.d" / "same.conf").unlink()
    (tree / "conf.d" / "same.conf").write_text("one\n")
    (tree / "conf.d" / "new.conf").write_text("new\n")
    (tree / "later").mkdir()
    (tree / "later" / "file").write_text("x\n")
    os.removexattr(tree / "conf.d", "user.note")


@pytest.mark.smoke
def test_beside_everything_comes_back(site: Site) -> None:
    before = look(site.tree)
    site.back_up()
    there = site.directory / "restored"
    result = restored(site, "-o", f"data_directory={there}")["restore"]
    assert look(pathlib.Path(f"{there}{site.tree}")) == before
    assert result["content"] == {"entries": len(before)}
    assert os.listdir(there) == [str(site.tree).split("/")[1]]
    sparse = os.stat(f"{there}{site.tree}/sparse.img")
    assert sparse.st_blocks * 512 < sparse.st_size / 10
    site.lifeboat(f"restore {JOB} --point newest -o data_directory={there}").refused("restore.target_invalid")


def test_beside_one_path_comes_back_with_the_folders_above(site: Site) -> None:
    site.back_up()
    there = site.directory / "restored"
    restored(site, "-o", f"data_directory={there}", "-o", f"paths=[{site.tree}/conf.d/one.conf, '{site.tree}/*.key']")
    tree = pathlib.Path(f"{there}{site.tree}")
    assert set(look(tree)) == {".", "conf.d", "conf.d/one.conf", "secret.key"}
    said = site.lifeboat(f"restore {JOB} --point newest -o data_directory={there}2 -o paths=[/etc/nothing]")
    said.refused("restore.target_invalid", status=said.status, hint=str(site.tree))
    assert not pathlib.Path(f"{there}2").exists()
    said = site.lifeboat(
        f"restore {JOB} --point newest -o data_directory={there}3 -o paths=[{site.tree}/conf.d/same.conf]"
    )
    said.refused("restore.target_invalid", status=said.status, hint="Name both")
    assert not pathlib.Path(f"{there}3").exists()


@pytest.mark.smoke
def test_in_place_everything_is_again_as_it_was_and_back(site: Site) -> None:
    before = look(site.tree)
    site.back_up()
    spoil(site.tree)
    spoilt = look(site.tree)
    plan = planned(site)
    assert plan["replaces"] == CONFIRM
    changed = 7 if os.geteuid() == 0 else 6  # root changes an owner, too
    assert plan["facts"]["counts"] == {"added": 1, "changed": changed, "extra": 2, "same": len(before) - 1 - changed}
    assert look(site.tree) == spoilt, "a plan changed something"
    said = site.lifeboat(f"restore {JOB} --point newest --in-place --quiet").refused("restore.confirmation_missing")
    assert CONFIRM in said.err
    assert look(site.tree) == spoilt

    result = in_place(site)
    found = without_folder_times(look(site.tree))
    new = {path for path in found if path not in before}
    assert new == {"conf.d/new.conf", "later", "later/file"}
    assert {path: entry for path, entry in found.items() if path in before} == without_folder_times(before)
    assert result["aside"] == [str(path) for path in kept(site)]

    site.lifeboat(f"restore --roll-back {result['id']} --quiet", "--confirm", CONFIRM).succeeded()
    assert without_folder_times(look(site.tree)) == without_folder_times(spoilt)
    assert kept(site) == []


def test_exactly_what_the_backup_has_and_nothing_else(site: Site) -> None:
    before = look(site.tree)
    site.back_up()
    spoil(site.tree)
    result = in_place(site, "-o", "exact=true")
    assert without_folder_times(look(site.tree)) == without_folder_times(before)
    (place,) = kept(site)
    assert (place / "old" / str(site.tree).lstrip("/") / "later" / "file").read_text() == "x\n"
    site.lifeboat(f"restore --discard {result['id']} --quiet", "--confirm", CONFIRM).succeeded()
    assert kept(site) == []
    assert without_folder_times(look(site.tree)) == without_folder_times(before)


def test_what_is_the_same_is_not_touched(site: Site) -> None:
    site.back_up()
    inodes = {path: os.lstat(path).st_ino for path in site.tree.rglob("*")}
    result = in_place(site)
    assert result["content"]["counts"]["changed"] == 0
    assert {path: os.lstat(path).st_ino for path in site.tree.rglob("*")} == inodes
    assert (result["aside"], kept(site)) == ([], [])
    (site.tree / "server.conf").unlink()  # nothing that exists is replaced, so nothing has to be confirmed
    restored(site, "--in-place")
    changed = {path for path in site.tree.rglob("*") if inodes[path] != os.lstat(path).st_ino}
    assert changed == {site.tree / "server.conf"}


def test_in_place_by_path_leaves_the_rest(site: Site) -> None:
    site.back_up()
    spoil(site.tree)
    in_place(site, "-o", f"paths=[{site.tree}/server.conf]", "-o", "exact=true")
    assert (site.tree / "server.conf").read_text() == "listen 80;\nworkers 4;\n"
    assert (site.tree / "queue").read_text() == "a file now\n"
    assert (site.tree / "later").exists()


def test_the_plan_shows_lines_of_public_files_only(site: Site) -> None:
    place = REACHABLE / f"lifeboat-diff-{os.getpid()}"
    try:
        shutil.copytree(site.tree, place, symlinks=True, ignore=shutil.ignore_patterns("queue", "sparse.img"))
        place.chmod(0o755)
        site.tree = place
        site.describe()
        site.back_up()
        (place / "server.conf").write_text("listen 80;\nworkers 8;\n")
        (place / "secret.key").write_text("other-hunter3\n")
        said = site.lifeboat(f"restore {JOB} --point newest --in-place --dry-run").succeeded().out
        assert f"  | --- {place}/server.conf (now)" in said
        assert "  | -workers 8;" in said
        assert "  | +workers 4;" in said
        assert f"{place}/secret.key: replaced (content)" in said
        assert "hunter" not in said
        told = planned(site, "-o", "show_private=true")["facts"]["diff"]
        assert "-other-hunter3" in told
        place.chmod(0o700)  # nobody else gets there: nothing in it is public
        assert "workers" not in planned(site)["facts"]["diff"]
    finally:
        shutil.rmtree(place, ignore_errors=True)


def test_a_step_that_fails_puts_everything_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.back_up()
    spoil(site.tree)
    spoilt = look(site.tree)
    put = exchange.Exchange._put
    count: list[str] = []

    def fail(self: t.Any, action: t.Any) -> None:
        """A fault: the disk refuses the third."""
        count.append(action.path)
        if len(count) == 3:
            raise OSError(28, "No space left on device", action.path)
        put(self, action)

    monkeypatch.setattr(exchange.Exchange, "_put", fail)
    said = site.lifeboat(f"restore {JOB} --point newest --in-place --quiet", "--confirm", CONFIRM).ended(1)
    assert "What was there before is there again" in said.err
    assert without_folder_times(look(site.tree)) == without_folder_times(spoilt)
    assert kept(site) == []


def test_a_link_where_a_folder_was_is_not_followed(site: Site) -> None:
    site.back_up()
    elsewhere = site.directory / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "one.conf").write_text("not yours\n")
    shutil.rmtree(site.tree / "conf.d")
    (site.tree / "conf.d").symlink_to(elsewhere)
    in_place(site)
    assert (elsewhere / "one.conf").read_text() == "not yours\n"
    assert os.listdir(elsewhere) == ["one.conf"]
    assert (site.tree / "conf.d").is_dir()
    assert not (site.tree / "conf.d").is_symlink()


def hostile_tar(member: str) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        if member == "through a link":
            link = tarfile.TarInfo("way")
            link.type, link.linkname = tarfile.SYMTYPE, "/"
            archive.addfile(link)
            member = "way/tmp/lifeboat-escaped"
        elif member == "another name of a file outside":
            link = tarfile.TarInfo("way")
            link.type, link.linkname = tarfile.LNKTYPE, "etc/passwd"
            archive.addfile(link)
        info = tarfile.TarInfo(member)
        info.size = 2
        archive.addfile(info, io.BytesIO(b"x\n"))
    return output.getvalue()


def test_a_tar_that_is_not_the_lists_is_told_before_anything_is_replaced(site: Site) -> None:
    backup = site.back_up()
    series = Series(service="shop", source="conf", kind="config")
    resealing.mutate_payload(
        site.repository,
        series.backup(str(backup["id"])),
        "files.tar",
        lambda data: data.replace(b"workers 4", b"workers 9"),
    )
    (site.tree / "server.conf").write_text("now\n")
    said = site.lifeboat(f"restore {JOB} --point newest --in-place --quiet", "--confirm", CONFIRM).ended(1)
    assert "server.conf has the SHA-256" in said.err
    assert (site.tree / "server.conf").read_text() == "now\n"
    assert kept(site) == []


@pytest.mark.parametrize(
    "member", ["../../lifeboat-escaped", "/tmp/lifeboat-escaped", "through a link", "another name of a file outside"]
)
def test_nothing_in_a_tar_leads_outside(site: Site, member: str) -> None:
    backup = site.back_up()
    series = Series(service="shop", source="conf", kind="config")
    resealing.mutate_payload(
        site.repository, series.backup(str(backup["id"])), "files.tar", lambda _data: hostile_tar(member)
    )
    there = site.directory / "deep" / "deeper"
    said = site.lifeboat(f"restore {JOB} --point newest --quiet -o data_directory={there}").ended(1)
    assert "verify.hostile_archive" in said.err, said.err
    assert not there.exists()
    assert list(site.directory.rglob("lifeboat-escaped")) == []
    assert not pathlib.Path("/tmp/lifeboat-escaped").exists()
    (site.tree / "server.conf").write_text("now\n")
    site.lifeboat(f"restore {JOB} --point newest --in-place --quiet", "--confirm", CONFIRM).ended(1)
    assert (site.tree / "server.conf").read_text() == "now\n"
    assert kept(site) == []


def test_on_a_file_system_in_memory(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    place = pathlib.Path(f"/dev/shm/lifeboat-{os.getpid()}")
    # What lies in /dev is refused; here it is the one file system in memory that every machine has.
    monkeypatch.setattr(roots, "_KERNEL", ("/proc", "/sys"))
    try:
        try:
            site.tree = make_tree(place / "app")
        except OSError as error:
            pytest.skip(f"/dev/shm can't have the attributes of the tree: {error}")
        site.describe()
        before = look(site.tree)
        site.back_up()
        spoil(site.tree)
        in_place(site, "-o", "exact=true")
        assert without_folder_times(look(site.tree)) == without_folder_times(before)
        assert [path.parent for path in kept(site)] == [place]
    finally:
        shutil.rmtree(place, ignore_errors=True)


def test_attributes_that_a_file_system_can_not_have_are_left_out_with_a_warning(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.back_up()
    write = os.setxattr

    def refuse(path: t.Any, name: str, *arguments: t.Any, **more: t.Any) -> None:
        """A fault: a file system without attributes of users."""
        if name.startswith("user."):
            raise OSError(95, "Operation not supported", path)
        write(path, name, *arguments, **more)

    monkeypatch.setattr(os, "setxattr", refuse)
    result = restored(site, "-o", f"data_directory={site.directory / 'restored'}")["restore"]
    assert result["warnings"] == ["Attributes that this file system or user can't have were left out: user.note of 1."]
    verified = site.lifeboat(f"verify {JOB} --level 3 --json --quiet").succeeded().document["results"][0]
    assert verified["verification"]["versions"]["left_out"] == result["warnings"]
