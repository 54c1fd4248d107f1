# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest: what is written is read back, and nothing that was changed, moved or made up is taken for one."""

from __future__ import annotations

import copy
import dataclasses
import json
import time
import typing as t

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings, strategies

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder, Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest import (
    document_checksum,
    parse_manifest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest_schema import MANIFEST_SCHEMA
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    ManifestInvalid,
    ManifestTooNew,
    RequestInvalid,
)
from tests.support.manifests import BACKUP_ID, FULL, manifest, payload, signed

FOLDER = FULL.backup(BACKUP_ID)
VALIDATOR = jsonschema.Draft202012Validator(MANIFEST_SCHEMA)
FUZZ = settings(max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.too_slow])

VARIANTS = {
    "a full one": manifest(),
    "the least": manifest(labels={}, warnings=(), facts={}, content={}, stages={}, compression=None),
    "an increment": manifest(parent="20261120T020000Z-aaaaaa"),
    "an encrypted one": manifest(
        encryption={"method": "age", "recipients": ["age1qqqq"]},
        payloads=(dataclasses.replace(payload("dump.zst.age", b"x"), encryption="age"),),
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_written_is_read_back_and_agrees_with_the_schema(variant: str) -> None:
    written = VARIANTS[variant]
    data = written.as_bytes()
    assert parse_manifest(data, folder=FOLDER) == written
    assert parse_manifest(data, folder=FOLDER).as_bytes() == data
    VALIDATOR.validate(json.loads(data))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(MANIFEST_SCHEMA)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_property_that_is_written_is_described(variant: str) -> None:
    def close(schema: t.Any) -> t.Any:
        if isinstance(schema, list):
            return [close(item) for item in schema]
        if not isinstance(schema, dict):
            return schema
        closed = {key: close(value) for key, value in schema.items()}
        return {**closed, "additionalProperties": False} if "properties" in schema and "type" in schema else closed

    closed = jsonschema.Draft202012Validator(close(MANIFEST_SCHEMA))
    document = VARIANTS[variant].as_dict()
    closed.validate(document)
    assert not closed.is_valid({**document, "extra": 1})


def test_properties_that_a_later_version_added_are_passed_over_by_schema_and_reader_alike() -> None:
    document = manifest().as_dict()
    document["added"] = {"later": True}
    document["payloads"][0]["added"] = 1
    document["compression"]["added"] = 1
    VALIDATOR.validate(document)
    assert parse_manifest(signed(document), folder=FOLDER).payloads == manifest().payloads


def test_the_checksum_is_of_the_canonical_json_without_itself() -> None:
    document = {"b": "é", "a": [1, None], "checksum": "whatever"}
    # printf '{"a":[1,null],"b":"é"}' | sha256sum
    assert document_checksum(document) == "e03c3c1ebb5fccd76e3bd35b9a86169f35e6f1b069645d48ac278175f54c4208"


@pytest.mark.parametrize("key", sorted(manifest().as_dict()))
def test_a_change_of_any_property_is_noticed(key: str) -> None:
    document = manifest().as_dict()
    document[key] = "20261121T020000Z-4f2c92" if key == "id" else {"changed": 1}
    with pytest.raises(ManifestInvalid):
        parse_manifest(json.dumps(document).encode(), folder=FOLDER)


def test_a_changed_manifest_says_so() -> None:
    data = manifest().as_bytes().replace(b'"count": 12', b'"count": 13')
    with pytest.raises(ManifestInvalid, match="its checksum differs: it was changed after it was written") as raised:
        parse_manifest(data, folder=FOLDER)
    assert raised.value.details == {"key": FOLDER.manifest_key}


def test_how_the_bytes_are_laid_out_does_not_matter() -> None:
    document = manifest().as_dict()
    for data in (json.dumps(document), json.dumps(document, indent=8), json.dumps(document, separators=(",", ":"))):
        assert parse_manifest(data.encode(), folder=FOLDER) == manifest()


@pytest.mark.parametrize(
    "other",
    [
        FULL.backup("20261121T020000Z-4f2c92"),
        Series(service="family", source="main", kind="oplog").backup(BACKUP_ID),
        Series(service="family", source="other", kind="full").backup(BACKUP_ID),
        Series(service="acme", source="main", kind="full").backup(BACKUP_ID),
    ],
)
def test_a_manifest_that_was_moved_to_another_folder_is_refused(other: BackupFolder) -> None:
    with pytest.raises(ManifestInvalid, match="it describes family/main/full/20261121T020000Z-4f2c91/ instead"):
        parse_manifest(manifest().as_bytes(), folder=other)


def test_a_manifest_of_a_later_format_says_what_to_upgrade() -> None:
    document = {**manifest().as_dict(), "format_version": 2, "payloads": "whatever they are then"}
    with pytest.raises(ManifestTooNew, match="has manifest format 2; this Lifeboat reads up to 1") as raised:
        parse_manifest(signed(document), folder=FOLDER)
    assert "RESTORE.md" in raised.value.hint


@pytest.mark.parametrize("version", [0, -1, "1", 1.0, None, True])
def test_a_manifest_of_a_format_that_there_never_was_is_no_manifest(version: t.Any) -> None:
    """Older ones that there were are read: tests/integration/test_golden.py."""
    with pytest.raises(ManifestInvalid, match="format_version"):
        parse_manifest(signed({**manifest().as_dict(), "format_version": version}), folder=FOLDER)


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a/b",
        "/etc/passwd",
        "..",
        ".",
        "",
        ".hidden",
        "-rf",
        "a b",
        "a\n",
        "a\0",
        "é",
        "a\\b",
        "x" * 202,
        "$(id)",
    ],
)
def test_payload_names_that_are_no_plain_file_names_are_refused(name: str) -> None:
    document = manifest().as_dict()
    document["payloads"][0]["name"] = name
    with pytest.raises(ManifestInvalid, match=r"payloads\[0\]\.name is "):
        parse_manifest(signed(document), folder=FOLDER)
    # JSON Schema's `$` is the end of the text, Python's also lets a line end follow.
    assert not VALIDATOR.is_valid(document) or name.endswith("\n")


def test_a_payload_that_is_listed_twice_is_refused() -> None:
    document = manifest().as_dict()
    document["payloads"] *= 2
    with pytest.raises(ManifestInvalid, match="payloads has a name twice"):
        parse_manifest(signed(document), folder=FOLDER)


@pytest.mark.parametrize("key", ["id", "parent"])
@pytest.mark.parametrize("value", ["20261341T020000Z-4f2c91", "latest", "20261121T020000Z-4f2c91\n"])
def test_an_id_that_no_run_can_have_had_is_refused(key: str, value: str) -> None:
    with pytest.raises(ManifestInvalid, match=f"{key} is .*no backup id"):
        parse_manifest(signed({**manifest().as_dict(), key: value}), folder=FOLDER)


@pytest.mark.parametrize(
    "value", ["2026-02-30T00:00:00Z", "2026-11-21T02:00:00", "2026-11-21T03:00:00+01:00", "0000-01-01T00:00:00Z"]
)
def test_times_that_are_none_or_not_in_utc_are_refused(value: str) -> None:
    for key in ("started", "finished"):
        with pytest.raises(ManifestInvalid):
            parse_manifest(signed({**manifest().as_dict(), key: value}), folder=FOLDER)


# --- schema and reader agree ------------------------------------------------------------------------------------


MISSING = object()
VALUES: list[t.Any] = [
    MISSING,
    None,
    True,
    0,
    1,
    -1,
    20,
    1.5,
    10**400,
    "",
    "x",
    "Xx",
    "zstd",
    "age",
    "../x",
    "0" * 64,
    "2026-11-21T02:00:00Z",
    "2026-11-21",
    "20261121T020000Z-4f2c92",
    [],
    ["x"],
    ["X x"],
    [1],
    [{}],
    [["a", "b"]],
    {},
    {"x": 1},
    {"x": "x"},
    {"x": None},
    {"x": -1},
    {"x": True},
    {"method": "zstd", "level": 1},
    {"method": "zstd", "level": 0},
    {"method": "zstd", "level": 20},
    {"method": "zstd", "level": True},
    {"method": "gzip", "level": 1},
    {"method": "zstd"},
    {"method": "age", "recipients": ["age1"]},
    {"method": "age", "recipients": []},
    {"method": "age", "recipients": "age1"},
    {"method": "age", "recipients": [1]},
]
DOCUMENT = manifest(
    parent="20261120T020000Z-aaaaaa", encryption={"method": "age", "recipients": ["age1qqqq"]}
).as_dict()


def paths(value: t.Any, path: tuple[t.Any, ...] = ()) -> t.Iterator[tuple[t.Any, ...]]:
    """Every place in a document."""
    if path:
        yield path
    items: t.Iterable[tuple[t.Any, t.Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield from paths(item, (*path, key))


PATHS = sorted((path for path in paths(DOCUMENT) if path != ("checksum",)), key=str)


def with_value(path: tuple[t.Any, ...], value: t.Any) -> dict[str, t.Any]:
    document = copy.deepcopy(DOCUMENT)
    place: t.Any = document
    for key in path[:-1]:
        place = place[key]
    if value is MISSING:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


def folder_of(document: t.Mapping[str, t.Any]) -> BackupFolder:
    """Where a document says that it lies, so that being in the wrong folder is not what it is refused for."""
    try:
        return Series(document["service"], document["source"], document["kind"]).backup(str(document["id"]))
    except (KeyError, TypeError, RequestInvalid):
        return FOLDER


def refusal(document: t.Mapping[str, t.Any]) -> str | None:
    try:
        parse_manifest(signed(document), folder=folder_of(document))
    except (ManifestInvalid, ManifestTooNew) as error:
        return error.message
    return None


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_the_reader_refuses_what_the_schema_refuses_and_takes_what_it_takes(path: tuple[t.Any, ...]) -> None:
    differences = []
    for value in VALUES:
        document = with_value(path, value)
        by_schema = not VALIDATOR.is_valid(document)
        by_reader = refusal(document)
        # The one thing that the reader must know better: a number beyond any float is no duration.
        if by_schema != (by_reader is not None) and not (value == 10**400 and path[0] == "stages" and len(path) == 2):
            differences.append(f"{value!r}: schema {'refuses' if by_schema else 'takes'} it, reader says {by_reader}")
    assert not differences, "\n".join(differences)


json_values = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats()
    | strategies.text(strategies.characters(), max_size=20),
    lambda inner: (
        strategies.lists(inner, max_size=4) | strategies.dictionaries(strategies.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@FUZZ
@given(strategies.sampled_from(PATHS), json_values)
def test_whatever_value_stands_anywhere_nothing_else_is_raised(path: tuple[t.Any, ...], value: t.Any) -> None:
    document = with_value(path, value)
    try:
        data = signed(document)
    except ValueError:
        data = json.dumps(document).encode()  # what JSON can't say has no checksum
    try:
        read = parse_manifest(data, folder=folder_of(document))
    except (ManifestInvalid, ManifestTooNew):
        return
    assert VALIDATOR.is_valid(document)
    assert parse_manifest(read.as_bytes(), folder=read.folder) == read


@FUZZ
@given(strategies.binary(max_size=300))
def test_whatever_bytes_come_nothing_else_is_raised(data: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        parse_manifest(data, folder=FOLDER)


@FUZZ
@given(json_values)
def test_whatever_json_comes_nothing_else_is_raised(value: t.Any) -> None:
    with pytest.raises(ManifestInvalid):
        parse_manifest(json.dumps(value).encode(), folder=FOLDER)
    with pytest.raises((ManifestInvalid, ManifestTooNew)):
        parse_manifest(json.dumps({"format": "lifeboat-backup", "format_version": value}).encode(), folder=FOLDER)


@FUZZ
@given(strategies.data())
def test_whichever_bytes_of_a_real_one_are_changed_it_is_not_taken_for_another(data: strategies.DataObject) -> None:
    real = manifest().as_bytes()
    start = data.draw(strategies.integers(0, len(real) - 1))
    end = data.draw(strategies.integers(start, min(len(real), start + 40)))
    changed = real[:start] + data.draw(strategies.binary(max_size=10)) + real[end:]
    try:
        read = parse_manifest(changed, folder=FOLDER)
    except (ManifestInvalid, ManifestTooNew):
        return
    assert read == manifest()  # a space more or less


NASTY = {
    "nothing": b"",
    "null": b"null",
    "deep lists": b"[" * 200_000,
    "deep objects": b'{"a":' * 200_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "a deep fact": signed(manifest().as_dict()).replace(b'"6.0.5"', b"[" * 50_000 + b"]" * 50_000),
    "not UTF-8": manifest().as_bytes().replace(b"6.0.5", b"\xff\xfe"),
    "a byte order mark": b"\xef\xbb\xbf" + manifest().as_bytes(),
    "NaN": manifest().as_bytes().replace(b"61.0", b"NaN"),
    "a number beyond floats": manifest().as_bytes().replace(b"61.0", b"1e999"),
    "half a character": manifest().as_bytes().replace(b"6.0.5", b"\\ud800"),
    "five million digits": b'{"format": "lifeboat-backup", "format_version": ' + b"9" * 5_000_000 + b"}",
    "a long line": b'{"format": "' + b"x" * 5_000_000 + b'"}',
    "many keys": b"{" + b",".join(b'"%d": 1' % number for number in range(100_000)) + b"}",
}


@pytest.mark.parametrize("case", NASTY)
def test_nasty_bytes_are_refused_and_soon(case: str) -> None:
    started = time.monotonic()
    with pytest.raises(ManifestInvalid) as raised:
        parse_manifest(NASTY[case], folder=FOLDER)
    assert time.monotonic() - started < 5
    assert len(raised.value.message) < 1000
