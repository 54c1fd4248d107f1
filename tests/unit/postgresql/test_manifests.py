# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A parent's manifest is whole or refused, and the shelf keeps what it should."""

from __future__ import annotations

import hashlib
import pathlib
import stat

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    PostgresParentUnusable,
    StateDirectoryUnusable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.manifests import (
    ManifestFacts,
    ManifestShelf,
    read_manifest,
)

# The form of PostgreSQL 18; 13 to 16 write version 1 and no system identifier.
_HEAD = b'{ "PostgreSQL-Backup-Manifest-Version": 2,\n"System-Identifier": 7710547832624710241,\n'
_FILE = (
    b'{ "Path": "base/5/%d", "Size": 8192, "Last-Modified": "2026-11-21 09:08:47 GMT", '
    b'"Checksum-Algorithm": "CRC32C", "Checksum": "bc2e29c3" }'
)
_RANGES = b'"WAL-Ranges": [\n{ "Timeline": 3, "Start-LSN": "0/150000F8", "End-LSN": "0/150001F0" }\n],\n'


def manifest_bytes(*, head: bytes = _HEAD, files: int = 3, ranges: bytes = _RANGES) -> bytes:
    body = head + b'"Files": [\n' + b",\n".join(_FILE % number for number in range(files)) + b"\n],\n" + ranges
    return body + b'"Manifest-Checksum": "' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'


def written(path: pathlib.Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("files", [0, 3, 2000])  # below and above the size of the tail that is read
def test_a_whole_manifest_is_read(tmp_path: pathlib.Path, files: int) -> None:
    facts = read_manifest(written(tmp_path / "m", manifest_bytes(files=files)))
    assert facts == ManifestFacts(
        system_identifier="7710547832624710241", timeline=3, start_lsn="0/150000F8", end_lsn="0/150001F0"
    )


def test_several_ranges_go_from_the_first_to_the_last(tmp_path: pathlib.Path) -> None:
    ranges = (
        b'"WAL-Ranges": [\n{ "Timeline": 1, "Start-LSN": "0/1", "End-LSN": "0/2" },\n'
        b'{ "Timeline": 2, "Start-LSN": "0/2", "End-LSN": "0/3" }\n],\n'
    )
    facts = read_manifest(written(tmp_path / "m", manifest_bytes(ranges=ranges)))
    assert (facts.timeline, facts.start_lsn, facts.end_lsn) == (2, "0/1", "0/3")


def test_an_old_manifest_names_no_cluster(tmp_path: pathlib.Path) -> None:
    content = manifest_bytes(head=b'{ "PostgreSQL-Backup-Manifest-Version": 1,\n')
    assert read_manifest(written(tmp_path / "m", content)).system_identifier is None


@pytest.mark.parametrize("position", [10, 60, 5000, -80, -100])
def test_a_changed_manifest_is_refused(tmp_path: pathlib.Path, position: int) -> None:
    content = bytearray(manifest_bytes(files=2000))
    content[position] ^= 1
    with pytest.raises(PostgresParentUnusable) as caught:
        read_manifest(written(tmp_path / "m", bytes(content)))
    assert "kind: base" in caught.value.hint


@pytest.mark.parametrize("kept", [0, 100, 5000, -1, -60])
def test_a_manifest_that_is_cut_short_is_refused(tmp_path: pathlib.Path, kept: int) -> None:
    content = manifest_bytes(files=2000)
    # Without its very last line end it is still whole: every byte that the checksum covers is there.
    if kept == -1:
        assert read_manifest(written(tmp_path / "m", content[:-1])).timeline == 3
        return
    with pytest.raises(PostgresParentUnusable, match="not a whole backup manifest"):
        read_manifest(written(tmp_path / "m", content[:kept]))


def test_a_missing_manifest_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(PostgresParentUnusable, match="No such file"):
        read_manifest(str(tmp_path / "none"))


def backup_id(number: int) -> str:
    return f"202611{number:02}T020000Z-4f2c91"


def shelf_with(tmp_path: pathlib.Path, *numbers: int) -> ManifestShelf:
    shelf = ManifestShelf(state_directory=str(tmp_path), system_identifier="42")
    for number in numbers:
        with shelf.open_new(backup_id(number)) as file:
            file.write(b"manifest %d" % number)
            shelf.keep(backup_id(number), file)
    return shelf


def test_a_kept_manifest_is_private_and_whole(tmp_path: pathlib.Path) -> None:
    shelf = shelf_with(tmp_path, 1)
    path = tmp_path / "postgresql" / "42" / (backup_id(1) + ".backup_manifest")
    assert path.read_bytes() == b"manifest 1"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert shelf.backup_ids() == [backup_id(1)]


def test_an_unfinished_manifest_is_not_there(tmp_path: pathlib.Path) -> None:
    shelf = shelf_with(tmp_path)
    with shelf.open_new(backup_id(1)) as file:
        file.write(b"half")
    assert shelf.backup_ids() == []
    shelf.forget(backup_id(1))
    assert list((tmp_path / "postgresql" / "42").iterdir()) == []


def test_only_the_newest_and_the_spared_ones_stay(tmp_path: pathlib.Path) -> None:
    shelf = shelf_with(tmp_path, 5, 3, 1, 4, 2)
    assert shelf.prune(newest=2, spare={backup_id(1)}) == [backup_id(2), backup_id(3)]
    assert shelf.backup_ids() == [backup_id(1), backup_id(4), backup_id(5)]


def test_a_crashed_runs_half_is_removed_once_it_can_not_be_a_running_ones(tmp_path: pathlib.Path) -> None:
    shelf = shelf_with(tmp_path, 9)
    for number in (1, 8):
        with shelf.open_new(backup_id(number)) as file:
            file.write(b"half")
    shelf.prune(newest=5)
    assert sorted(path.name for path in (tmp_path / "postgresql" / "42").iterdir()) == [
        backup_id(8) + ".backup_manifest.partial",
        backup_id(9) + ".backup_manifest",
    ]


def test_a_state_directory_that_can_not_be_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "postgresql").write_text("in the way", encoding="utf-8")
    with pytest.raises(StateDirectoryUnusable):
        shelf_with(tmp_path, 1)
