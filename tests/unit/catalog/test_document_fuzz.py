# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thousands of manifests and notes beside them that nobody should have written: read or refused by name, at once."""

from __future__ import annotations

import datetime
import json
import random
import time
import tracemalloc
import typing as t
from dataclasses import dataclass

import jsonschema
import pytest
from hypothesis import given, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import read_catalog
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder, Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest import parse_manifest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest_schema import MANIFEST_SCHEMA
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.pin import Pin, parse_pin
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.pin_schema import PIN_SCHEMA
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.removal import Removal, parse_removal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.removal_schema import REMOVAL_SCHEMA
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.verification import parse_verification
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.verification_schema import (
    VERIFICATION_SCHEMA,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    ManifestInvalid,
    ManifestTooNew,
    PinInvalid,
    RemovalInvalid,
    RequestInvalid,
    VerificationInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import is_backup_id
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.memory import MemoryStorage
from tests.support.clocks import START
from tests.support.fuzzing import JSON, MISSING, altered, as_bytes, damaged, many, places, thousands, with_value
from tests.support.manifests import BACKUP_ID, FULL, manifest, signed
from tests.unit.catalog.test_standing import verification

MIB = 1024 * 1024
MANIFEST = manifest(
    parent="20261120T020000Z-aaaaaa",
    encryption={"method": "age", "recipients": ["age1qqqq"]},
    facts={"nested": {"deeper": [{"a": 1}, None]}, "sizes": [1, 2.5]},
).as_dict()
VERIFICATION = verification(3, reached=2, bad=True, copies={"local": 2, "offsite": 0}).as_dict()
PIN = Pin(
    pin_id="20261121T120000Z-0000aa",
    backup_id=BACKUP_ID,
    reason="before the migration",
    by="ops",
    host="db1",
    made=START,
    until=START + datetime.timedelta(days=90),
).as_dict()
REMOVAL = Removal(
    removal_id="20261122T120000Z-0000bb",
    backup_id=BACKUP_ID,
    repository="local",
    plan_hash="20261122T120000Z-abc",
    reasons=("older than 30d", "31 newer verified"),
    started=START,
    host="db1",
    lifeboat_version="0.1.0",
).as_dict()
REFUSALS = (ManifestInvalid, ManifestTooNew, VerificationInvalid, PinInvalid, RemovalInvalid)


@dataclass(frozen=True)
class Kind:
    """One kind of document, with its reader and its schema."""

    name: str
    document: dict[str, t.Any]
    schema: dict[str, t.Any]

    def __str__(self) -> str:
        return self.name

    def read(self, data: bytes, document: t.Any = None) -> t.Any:
        """What it says, or None when it is refused; whatever is raised but the named errors fails the test.

        Where *document* is given, it is looked for where it says that it lies: that is not what it is refused for.
        """
        try:
            if self.name == "manifest":
                return parse_manifest(data, folder=_folder(document))
            wanted = document.get("backup") if isinstance(document, dict) else BACKUP_ID
            parse = {"verification": parse_verification, "pin": parse_pin, "removal": parse_removal}[self.name]
            return parse(data, key="k", backup_id=wanted if isinstance(wanted, str) else BACKUP_ID)
        except REFUSALS as error:
            _for_people(error)
            return None


def _for_people(error: LifeboatError) -> None:
    assert error.message
    assert error.hint
    assert len(error.message) < 2000


def _folder(document: t.Any) -> BackupFolder:
    try:
        series = Series(document["service"], document["source"], document["kind"])
        return series.backup(document["id"] if is_backup_id(document["id"]) else BACKUP_ID)
    except (KeyError, TypeError, RequestInvalid):
        return FULL.backup(BACKUP_ID)


KINDS = (
    Kind("manifest", MANIFEST, MANIFEST_SCHEMA),
    Kind("verification", VERIFICATION, VERIFICATION_SCHEMA),
    Kind("pin", PIN, PIN_SCHEMA),
    Kind("removal", REMOVAL, REMOVAL_SCHEMA),
)
both = pytest.mark.parametrize("kind", KINDS, ids=str)

VALUES = (
    None, True, False, 0, 1, -1, 5, 99, 10**400, 0.5, -0.5, "", "a", "passed", "../x", "2026-11-21T02:00:00Z",
    "2026-11-21T02:00:00", BACKUP_ID, "0" * 64, [], [None], ["a"], [{}], {}, {"a": 1}, {"a": "b"}, {"a": {}},
    {"reached": 1, "error": None}, {"code": "a", "message": "b"}, {"code": "a"}, MISSING,
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS[1:], ids=str)
def test_a_reader_refuses_what_its_schema_refuses_and_takes_what_it_takes(kind: Kind) -> None:
    validator = jsonschema.Draft202012Validator(kind.schema)
    assert validator.is_valid(kind.document)
    differences = []
    for path in places(kind.document):
        if path == ("checksum",):
            continue
        for value in VALUES:
            document = with_value(kind.document, path, value)
            by_schema = validator.is_valid(document)
            by_reader = kind.read(signed(document), document) is not None
            # The one thing that the reader must know better: a number beyond any float is no duration.
            if by_schema != by_reader and not (value == 10**400 and path[0] == "stages"):
                differences.append(f"{path}: {value!r}: {'only schema' if by_schema else 'only reader'} takes it")
    assert not differences, "\n".join(differences)


@pytest.mark.thorough
@both
@many(400)
@given(st.data())
def test_altered_and_sealed_again(kind: Kind, data: st.DataObject) -> None:
    """What is taken fits the schema, and comes back the same when it is written again."""
    document = data.draw(altered(kind.document))
    try:
        sealed = signed(document)
    except ValueError:
        assert kind.read(as_bytes(document), document) is None, "what JSON can't say has no checksum"
        return
    read = kind.read(sealed, document)
    if read is not None:
        assert jsonschema.Draft202012Validator(kind.schema).is_valid(json.loads(sealed))
        assert kind.read(read.as_bytes(), document) == read


@both
def test_damaged_bytes(kind: Kind) -> None:
    """Whatever is changed afterwards is found out: by the checksum when by nothing else."""
    sealed = signed(kind.document)
    whole = kind.read(sealed)
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    for _turn in range(thousands(5000)):
        hurt = damaged(sealed, chance)
        read = kind.read(hurt)
        assert read is None or read == whole, f"seed {seed}: {hurt!r} is taken for another"


@both
@many(400)
@given(st.binary(max_size=400) | JSON.map(as_bytes))
def test_anything_at_all(kind: Kind, data: bytes) -> None:
    assert kind.read(data) is None


HOSTILE = {
    "deep lists": b"[" * 1_000_000,
    "deep objects": b'{"a":' * 200_000,
    "a deep value": b'{"format": "lifeboat-backup", "format_version": 1, "facts": '
    + b"[" * 300_000
    + b"]" * 300_000
    + b"}",
    "a long number": b'{"format": "lifeboat-backup", "format_version": ' + b"9" * 1_000_000 + b"}",
    "a long text": b'{"format": "' + b"x" * 4_000_000 + b'"}',
    "many properties": b"{" + b",".join(b'"%d":0' % number for number in range(200_000)) + b"}",
    "one property many times": b"{" + b'"format":"lifeboat-backup",' * 100_000 + b'"format_version":1}',
    "spaces": b" " * 4_000_000,
    "NUL": b"\x00" * 1_000_000,
    "UTF-16": signed(MANIFEST).decode().encode("utf-16"),
    "a mark of byte order": b"\xef\xbb\xbf" + signed(MANIFEST),
    "twice": signed(MANIFEST) * 2,
}


@both
@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_ones_take_neither_long_nor_much_memory(kind: Kind, data: bytes) -> None:
    tracemalloc.start()
    try:
        started = time.process_time()
        assert kind.read(data) is None
        assert time.process_time() - started < 10
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB + 40 * len(data)
    finally:
        tracemalloc.stop()


@both
def test_memory_does_not_grow_with_the_number_of_bad_ones(kind: Kind) -> None:
    bad = [as_bytes(with_value(kind.document, path, MISSING)) for path in places(kind.document)]
    whole = signed(kind.document)
    bad += [whole[:size] for size in range(0, min(900, len(whole)), 30)]

    def round_trip() -> int:
        for data in bad:
            assert kind.read(data) is None
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        round_trip()
        after_one = round_trip()
        for _turn in range(15):
            after_many = round_trip()
        assert after_many - after_one < 64 * 1024
    finally:
        tracemalloc.stop()


def test_a_catalog_with_bad_documents_is_read_all_the_same() -> None:
    """The good backup beside them is listed, and what is bad is told."""
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    good = manifest(backup_id="20261122T020000Z-bbbbbb")
    bad, proof = FULL.backup(BACKUP_ID), verification(3, reached=4).as_bytes()
    for _turn in range(thousands(300)):
        storage = MemoryStorage()
        storage.put(good.folder.manifest_key, good.as_bytes())
        storage.put(good.folder.key(f"verification-{BACKUP_ID}.json"), damaged(proof, chance))
        storage.put(bad.manifest_key, damaged(manifest().as_bytes(), chance))
        reading = read_catalog({"local": storage})
        listed = {backup.manifest.backup_id for backup in reading.backups}
        told = [one for one in reading.problems if isinstance(one, ManifestInvalid)]
        assert good.backup_id in listed, f"seed {seed}"
        assert len(listed) + len(told) == 2, f"seed {seed}"
