# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup_manifest, read line by line, says what is missing, changed, or too many."""

from __future__ import annotations

import hashlib
import json
import sys
import typing as t

import pytest
from hypothesis import given, settings, strategies

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    PostgresBackupManifestInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.backup_manifest import (
    ManifestReader,
    SeenFiles,
    WalRange,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_witness import WalWitness

FILES = {"backup_label": (200, 1), "PG_VERSION": (3, 2), "base/1/1249": (8192, 3)}


def manifest_of(files: t.Mapping[str, tuple[int, int]], *, version: int = 2, algorithm: str = "CRC32C") -> bytes:
    entries = [
        json.dumps(
            {
                "Path": path,
                "Size": size,
                "Last-Modified": "2026-11-21 12:43:36 GMT",
                "Checksum-Algorithm": algorithm,
                "Checksum": checksum.to_bytes(4, sys.byteorder).hex(),
            }
        )
        for path, (size, checksum) in files.items()
    ]
    head = f'{{ "PostgreSQL-Backup-Manifest-Version": {version},\n'
    if version > 1:
        head += '"System-Identifier": 7710604536900471278,\n'
    wal = '{ "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000100" }'
    body = head + '"Files": [\n' + ",\n".join(entries) + '\n],\n"WAL-Ranges": [\n' + wal + "\n],\n"
    return (body + f'"Manifest-Checksum": "{hashlib.sha256(body.encode()).hexdigest()}"}}\n').encode()


def read(data: bytes, files: t.Mapping[str, tuple[int, int]], *, step: int = 1 << 20) -> ManifestReader:
    seen = SeenFiles()
    for path, (size, checksum) in files.items():
        seen.add(path, size=size, checksum=checksum)
    reader = ManifestReader(seen=seen)
    for position in range(0, len(data), step):
        reader.feed(data[position : position + step])
    reader.finish()
    return reader


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_what_agrees(version: int, step: int) -> None:
    reader = read(manifest_of(FILES, version=version), FILES, step=step)
    assert reader.differences.count == 0
    assert reader.files == 3
    assert reader.system_identifier == (None if version == 1 else "7710604536900471278")
    assert reader.wal_ranges == [WalRange(timeline=1, start_lsn="0/2000028", end_lsn="0/2000100")]


def test_the_order_does_not_matter() -> None:
    assert read(manifest_of(dict(reversed(list(FILES.items())))), FILES).differences.count == 0


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ({**FILES, "base/1/1249": (8191, 3)}, "8191 bytes instead of 8192"),
        ({**FILES, "base/1/1249": (8192, 4)}, "another content"),
        ({name: FILES[name] for name in ("backup_label", "PG_VERSION")}, "base/1/1249 is missing"),
        ({**FILES, "base/1/more": (1, 1)}, "1 files are in the backup that"),
    ],
)
def test_what_differs(found: dict[str, tuple[int, int]], problem: str) -> None:
    differences = read(manifest_of(FILES), found).differences
    assert differences.count == 1
    assert problem in differences.problems[0]


def test_wal_and_the_manifest_itself_are_not_in_the_list() -> None:
    found = {**FILES, "pg_wal/000000010000000000000002": (1, 1), "backup_manifest": (1, 1)}
    assert read(manifest_of(FILES), found).differences.count == 0


def test_checksums_of_another_kind_are_told_apart() -> None:
    reader = read(manifest_of(FILES, algorithm="SHA256"), FILES)
    assert reader.unknown_algorithms == 3
    assert reader.differences.count == 0


@settings(max_examples=500, deadline=None)
@given(position=strategies.integers(0, len(manifest_of(FILES)) - 2), value=strategies.integers(0, 255))
def test_one_changed_byte(position: int, value: int) -> None:
    data = manifest_of(FILES)
    changed = data[:position] + bytes([value]) + data[position + 1 :]
    if changed == data:
        return
    with pytest.raises(PostgresBackupManifestInvalid):
        read(changed, FILES)


@settings(max_examples=500, deadline=None)
@given(data=strategies.binary(max_size=2000))
def test_nothing_but_named_errors(data: bytes) -> None:
    with pytest.raises(LifeboatError):
        read(data, FILES)


JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats() | strategies.text(),
    lambda inner: strategies.lists(inner, max_size=2) | strategies.dictionaries(strategies.text(), inner, max_size=2),
    max_leaves=3,
)
LSN = JSON | strategies.sampled_from(["0/2000028", "0/2000100", "/", "F/", "FFFFFFFFFF/FFFFFFFFFF"])


@pytest.mark.thorough
@settings(max_examples=500, deadline=None)
@given(
    file=strategies.fixed_dictionaries(
        {}, optional={"Path": JSON, "Encoded-Path": JSON, "Size": JSON, "Checksum": JSON}
    ),
    wal=strategies.fixed_dictionaries({}, optional={"Timeline": JSON, "Start-LSN": LSN, "End-LSN": LSN}),
    version=JSON,
)
def test_values_of_other_types_with_a_right_checksum(
    file: dict[str, t.Any], wal: dict[str, t.Any], version: t.Any
) -> None:
    body = (
        f'{{ "PostgreSQL-Backup-Manifest-Version": {json.dumps(version)},\n"Files": [\n{json.dumps(file)}\n],\n'
        f'"WAL-Ranges": [\n{json.dumps(wal)}\n],\n'
    )
    checksum = hashlib.sha256(body.encode()).hexdigest()
    try:
        reader = read((body + f'"Manifest-Checksum": "{checksum}"}}\n').encode(), FILES)
        assert reader.differences.count
        assert isinstance(WalWitness().missing(reader.wal_ranges), list)
    except LifeboatError:
        return


@settings(max_examples=50, deadline=None)
@given(cut=strategies.integers(0, len(manifest_of(FILES)) - 3))
def test_a_manifest_that_ends_early(cut: int) -> None:
    with pytest.raises(PostgresBackupManifestInvalid):
        read(manifest_of(FILES)[:cut], FILES)
