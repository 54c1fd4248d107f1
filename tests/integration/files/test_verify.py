# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification of backups of files: what passes each level, and which level catches what."""

from __future__ import annotations

import io
import json
import tarfile
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files import placing
from tests.integration.files.conftest import JOB, Site
from tests.support import resealing
from tests.support.resealing import folder_path

Spoil = t.Callable[[bytes], bytes]


def proved(site: Site, level: int) -> dict[str, t.Any]:
    said = site.lifeboat(f"verify {JOB} --level {level} --json --quiet")
    (result,) = said.document["results"]
    verification: dict[str, t.Any] = result["verification"]
    return verification


def spoil(site: Site, payload: str, change: Spoil) -> None:
    """Alter the plain bytes of a payload; sizes and hashes of the manifest are right again."""
    resealing.mutate_payload(site.repository, folder_of(site), payload, change)


def folder_of(site: Site) -> t.Any:
    (entry,) = site.lifeboat("list --json").document["backups"]
    return Series(service="shop", source="conf", kind="config").backup(entry["id"])


def test_a_good_backup_passes_every_level_and_leaves_nothing(site: Site) -> None:
    site.describe(verify={"level": 4, "require_paths": [str(site.tree / "server.conf"), str(site.tree / "conf.d/")]})
    site.back_up()
    found = proved(site, 4)
    assert (found["reached"], found["error"]) == (4, None)
    assert {check["state"] for check in found["checks"]} == {"passed"}
    assert len(found["checks"]) == 7
    assert found["recovery_seconds"] > 0
    assert list((site.directory / "scratch").iterdir()) == []
    listed = site.lifeboat("list --json").succeeded().document
    assert [one["state"] for one in listed["backups"]] == ["verified"]
    assert [one["job"] for one in listed["forecasts"]] == [JOB]


def test_a_required_path_that_is_not_there_fails_level_4(site: Site) -> None:
    site.describe(verify={"level": 4, "require_paths": [str(site.tree / "gone.conf")]})
    site.back_up()
    found = proved(site, 4)
    assert found["reached"] == 3
    assert "gone.conf" in found["error"]["message"]


def without_a_member(data: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        output = io.BytesIO()
        with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as other:
            for member in archive:
                if not member.name.endswith("/server.conf"):
                    other.addfile(member, archive.extractfile(member) if member.isreg() else None)
        return output.getvalue()


def hostile(data: bytes) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        info = tarfile.TarInfo("../../outside")
        archive.addfile(info)
    return output.getvalue()


CASES: list[tuple[str, str, Spoil, int]] = [
    ("a tar that was cut short", "files.tar", lambda data: data[: len(data) // 2], 2),
    ("another byte in a file", "files.tar", lambda data: data.replace(b"listen 80;", b"listen 81;"), 2),
    ("another byte in a header", "files.tar", lambda data: data.replace(b"0000644", b"0000666", 1), 2),
    ("a file that is missing in the tar", "files.tar", without_a_member, 2),
    ("a member that leads out", "files.tar", hostile, 2),
    ("no tar at all", "files.tar", lambda data: b"x" * len(data), 2),
    ("an empty tar", "files.tar", lambda data: bytes(10240), 2),
    ("a list that was cut short", "files.jsonl", lambda data: data[: len(data) // 2], 2),
    ("a line that is missing in the list", "files.jsonl", lambda data: data.split(b"\n", 1)[1], 2),
    ("a list that is none", "files.jsonl", lambda data: b"x\n", 2),
]


@pytest.mark.parametrize(("payload", "change", "level"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_bad_is_caught_at_its_level_and_not_below(site: Site, payload: str, change: Spoil, level: int) -> None:
    site.back_up()
    spoil(site, payload, change)
    assert proved(site, level - 1)["error"] is None
    found = proved(site, level)
    assert found["reached"] == level - 1
    assert found["error"] is not None
    assert site.lifeboat(f"verify {JOB} --level {level} --quiet").status == 1


def test_bytes_that_are_not_the_manifests_fail_level_1(site: Site) -> None:
    backup = site.back_up()
    path = site.folder(backup) / "files.tar.zst"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    assert proved(site, 0)["error"] is None
    assert proved(site, 1)["reached"] == 0


def test_a_list_and_tar_that_agree_and_are_not_what_was_noted_fail_level_2(site: Site) -> None:
    site.back_up()
    resealing.mutate_manifest(
        site.repository, folder_of(site), lambda document: document["content"].update(fingerprint="0" * 64)
    )
    assert proved(site, 2)["reached"] == 1


def test_what_comes_out_otherwise_than_listed_fails_level_3(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.back_up()
    written = placing._written

    def corrupt(file: t.Any, pieces: t.Any) -> t.Any:
        """A fault: the disk turns one byte of each file over."""
        for offset, piece in written(file, pieces):
            file.seek(offset)
            file.write(bytes([piece[0] ^ 1]))
            file.seek(offset + len(piece))
            yield offset, piece

    monkeypatch.setattr(placing, "_written", corrupt)
    assert proved(site, 2)["error"] is None
    found = proved(site, 3)
    assert found["reached"] == 2
    assert "server.conf (content)" in found["error"]["message"]


def test_the_document_of_a_verification_is_stored_beside(site: Site) -> None:
    backup = site.back_up()
    proved(site, 3)
    (path,) = folder_path(site.repository, folder_of(site)).glob("verification-*.json")
    assert json.loads(path.read_text())["backup"] == backup["id"]
