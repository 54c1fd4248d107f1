# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records, indexes and floors: what is written is read back, and nothing changed, moved or made up is taken for one."""

from __future__ import annotations

import dataclasses
import json
import random
import typing as t
from dataclasses import dataclass

import jsonschema
import pytest
from hypothesis import given, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest import document_checksum
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    RequestInvalid,
    StreamRecordInvalid,
    StreamRecordTooNew,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import is_name
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.floors import Floor, parse_floor
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.index import make_index, parse_index
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import (
    StreamFolder,
    hour_end,
    hour_of,
    is_hour,
    plain_sha256_in,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.record import parse_record
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.record_schema import (
    FLOOR_SCHEMA,
    INDEX_SCHEMA,
    RECORD_SCHEMA,
)
from tests.support.fuzzing import JSON, MISSING, altered, as_bytes, damaged, many, places, thousands, with_value
from tests.support.manifests import signed
from tests.unit.streams.samples import EVENT, FOLDER, START, record, segment

HOUR = hour_of(START)
RECORD = record(segment(1), segment(5, encryption="age", plain_size=None, compression=None), events=[EVENT])
INDEX = make_index([RECORD, record(segment(7))], hour=HOUR, made=START, unindexed=["2026112101"])
FLOOR = Floor(
    folder=FOLDER,
    engine="postgresql",
    hour=HOUR,
    made=START,
    host="db1",
    lifeboat_version="0.1.0",
    ends={1: (7, 2), -1: (3,)},
    records=(record(segment(1)),),
)
REFUSALS = (StreamRecordInvalid, StreamRecordTooNew)


@dataclass(frozen=True)
class Kind:
    """One kind of document, with its reader and its schema."""

    name: str
    value: t.Any
    document: dict[str, t.Any]
    schema: dict[str, t.Any]

    def __str__(self) -> str:
        return self.name

    def read(self, data: bytes, document: t.Any = None) -> t.Any:
        """What it says, or None when it is refused; whatever is raised but the named errors fails the test.

        Where *document* is given, it is looked for where it says that it lies.
        """
        try:
            return self.parse(data, document)
        except REFUSALS as error:
            _for_people(error)
            return None

    def parse(self, data: bytes, document: t.Any = None) -> t.Any:
        """The same, with whatever is raised."""
        folder, hour = _place(document)
        if self.name == "record":
            return parse_record(data, folder=folder, key="k")
        parse = parse_floor if self.name == "floor" else parse_index
        return parse(data, folder=folder, hour=hour, key="k")


def _for_people(error: LifeboatError) -> None:
    assert error.message
    assert error.hint
    assert len(error.message) < 2000


def _place(document: t.Any) -> tuple[StreamFolder, str]:
    if not isinstance(document, dict):
        return FOLDER, HOUR
    hour = document.get("hour")
    hour = hour if isinstance(hour, str) else HOUR
    try:
        return StreamFolder(
            Series(document["service"], document["source"], document["kind"]), document["lineage"]
        ), hour
    except (KeyError, TypeError, RequestInvalid):
        return FOLDER, hour


KINDS = (
    Kind("record", RECORD, RECORD.as_dict(), RECORD_SCHEMA),
    Kind("index", INDEX, json.loads(INDEX.as_bytes()), INDEX_SCHEMA),
    Kind("floor", FLOOR, json.loads(FLOOR.as_bytes()), FLOOR_SCHEMA),
)
both = pytest.mark.parametrize("kind", KINDS, ids=str)
VALUES = (
    None, True, False, 0, 1, -1, 10**400, 0.5, "", "a", "../x", "a/b", ".hidden", "2026-11-21T02:00:00Z", "2026112102",
    "2026-11-21T02:00:00", "20261121T020000Z-4f2c91", "0" * 64, "zstd", "age", [], [None], ["a"], [{}], {}, {"a": 1},
    MISSING,
)  # fmt: skip


@both
def test_what_is_written_is_read_back_and_agrees_with_the_schema(kind: Kind) -> None:
    data = kind.value.as_bytes()
    assert kind.read(data) == kind.value
    assert kind.read(data).as_bytes() == data
    jsonschema.Draft202012Validator.check_schema(kind.schema)
    jsonschema.Draft202012Validator(kind.schema).validate(json.loads(data))


@pytest.mark.thorough
@both
def test_the_reader_refuses_what_the_schema_refuses_and_takes_what_it_takes(kind: Kind) -> None:
    validator = jsonschema.Draft202012Validator(kind.schema)
    differences = []
    for path in places(kind.document):
        if path == ("checksum",):
            continue
        for value in VALUES:
            document = with_value(kind.document, path, value)
            by_schema = validator.is_valid(document)
            by_reader = kind.read(signed(document), document) is not None
            if by_schema != by_reader and not _knows_better(path, value):
                differences.append(f"{path}: {value!r}: {'only schema' if by_schema else 'only reader'} takes it")
    assert not differences, "\n".join(differences)


def _knows_better(path: tuple[t.Any, ...], value: t.Any) -> bool:
    # That an object belongs to its segment, and that an hour is one, a schema can't say; nor what a stream is called
    # that no folder can have.
    is_of_segment = path[-1] in ("name", "object", "plain_sha256") and "segments" in path
    is_hour_of = path[0] in ("hour", "unindexed")
    return is_of_segment or is_hour_of or (path == ("lineage",) and value == "20261121T020000Z-4f2c91")


@pytest.mark.thorough
@both
@many(400)
@given(st.data())
def test_altered_and_sealed_again(kind: Kind, data: st.DataObject) -> None:
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
        assert all(_is_harmless(one) for one in _segments(read))


def _segments(read: t.Any) -> list[t.Any]:
    records = read.records if hasattr(read, "records") else [read]
    return [one for each in records for one in each.segments]


def _is_harmless(one: t.Any) -> bool:
    return all(
        "/" not in name and not name.startswith(".") for name in (one.name, one.payload.name, one.description.group)
    )


@both
def test_damaged_bytes_are_found_out(kind: Kind) -> None:
    sealed = kind.value.as_bytes()
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    for _turn in range(thousands(3000)):
        hurt = damaged(sealed, chance)
        read = kind.read(hurt)
        assert read is None or read == kind.value, f"seed {seed}: {hurt!r} is taken for another"


@pytest.mark.thorough
@both
@many(300)
@given(st.binary(max_size=400) | JSON.map(as_bytes))
def test_anything_at_all(kind: Kind, data: bytes) -> None:
    assert kind.read(data) is None


@both
def test_properties_that_a_later_version_added_are_passed_over(kind: Kind) -> None:
    document = json.loads(json.dumps(kind.document))
    document["added"] = {"later": True}
    first = document if kind.name == "record" else document["records"][0]
    first["segments"][0]["added"] = 1
    assert kind.read(signed(document)) == kind.value


@both
def test_a_later_format_is_refused_by_its_own_name(kind: Kind) -> None:
    data = signed({**kind.document, "format_version": 2})
    with pytest.raises(StreamRecordTooNew):
        kind.parse(data)


@pytest.mark.parametrize("form", [{"indent": 4}, {}, {"sort_keys": True, "separators": (",", ":")}])
def test_how_an_index_is_laid_out_does_not_matter(form: dict[str, t.Any]) -> None:
    assert KINDS[1].read(json.dumps(KINDS[1].document, **form).encode()) == INDEX


def test_an_index_whose_bytes_were_changed_and_whose_checksum_was_not_is_refused_on_the_fast_way_too() -> None:
    data = INDEX.as_bytes()
    assert data.startswith(b'{"checksum":"')
    assert KINDS[1].read(data.replace(b'"size":1001', b'"size":1002')) is None
    other = document_checksum({"a": 1}).encode()
    assert KINDS[1].read(data[:13] + other + data[13 + 64 :]) is None


def test_a_record_of_another_lineage_or_hour_is_refused() -> None:
    other = StreamFolder(series=FOLDER.series, lineage="7420000000000000002")
    with pytest.raises(StreamRecordInvalid, match="instead"):
        parse_record(RECORD.as_bytes(), folder=other, key="k")
    with pytest.raises(StreamRecordInvalid, match="about the hour"):
        parse_index(INDEX.as_bytes(), folder=FOLDER, hour="2026112118", key="k")


def test_an_index_is_of_one_lineage_and_one_hour() -> None:
    with pytest.raises(ValueError, match="one lineage"):
        make_index([], hour=HOUR, made=START)
    with pytest.raises(ValueError, match="not made in the hour"):
        make_index([RECORD], hour="2026112118", made=START)
    strange = dataclasses.replace(RECORD, engine="mongodb")
    with pytest.raises(ValueError, match="one lineage"):
        make_index([RECORD, strange], hour=HOUR, made=START)


@pytest.mark.parametrize("lineage", ["", "A", "../x", "a/b", "20261121T020000Z-4f2c91", "x" * 64, ".a"])
def test_a_lineage_that_can_not_be_a_folder_is_refused(lineage: str) -> None:
    assert not is_name(lineage) or lineage.startswith("2026")
    with pytest.raises(RequestInvalid):
        StreamFolder(series=FOLDER.series, lineage=lineage)


def test_hours() -> None:
    assert (hour_of(START), is_hour(HOUR)) == ("2026112119", True)
    assert hour_end(HOUR).isoformat() == "2026-11-21T20:00:00+00:00"
    for text in ("", "202611211", "2026112124", "2026113119", "20261121190", "abcdefghij", "9999123123"):
        assert not is_hour(text)


def test_the_hash_in_a_name_is_that_of_this_segment_only() -> None:
    plain = "a" * 64
    assert plain_sha256_in(f"03.{plain}.zst.age", "03") == plain
    assert plain_sha256_in(f"03.{plain}", "03") == plain
    assert plain_sha256_in(f"03.{plain}.0f3c.zst", "03") == plain
    assert plain_sha256_in(f"03.partial.{plain}.zst", "03") is None
    assert plain_sha256_in(f"033.{plain}.zst", "03") is None
