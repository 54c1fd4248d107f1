# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One database with a collection of every kind, and documents that a decoder would damage."""

from __future__ import annotations

import datetime
import typing as t

import bson
from bson.raw_bson import RawBSONDocument

KINDS = "kinds"


def document(body: bytes) -> RawBSONDocument:
    return RawBSONDocument((len(body) + 5).to_bytes(4, "little") + body + b"\x00")


def _id(number: int) -> bytes:
    return b"\x10_id\x00" + number.to_bytes(4, "little")


ODD = (
    document(_id(1) + b"\x0esymbol\x00\x04\x00\x00\x00abc\x00"),
    document(_id(2) + b"\x06undefined\x00"),
    document(_id(3) + b"\x10twice\x00\x01\x00\x00\x00" + b"\x10twice\x00\x02\x00\x00\x00"),
    document(_id(4) + b"\x02not utf-8\x00\x03\x00\x00\x00\xff\xfe\x00"),
    document(_id(5) + b"\x09far away\x00" + (2**62).to_bytes(8, "little")),
    document(_id(6) + b"\x0cpointer\x00\x02\x00\x00\x00c\x00" + b"\x07" * 12),
    document(_id(7) + b"\x05old binary\x00\x06\x00\x00\x00\x02\x02\x00\x00\x00ab"),
    document(_id(8) + b"\x01nan\x00" + b"\x01\x00\x00\x00\x00\x00\xf8\x7f"),
    document(_id(9) + b"\x10\x00\x05\x00\x00\x00"),
    document(_id(10) + b"\x0fscoped\x00\x14\x00\x00\x00\x04\x00\x00\x00f()\x00\x08\x00\x00\x00\x0ax\x00\x00"),
)

# Every type that an _id may have, so that ranges must follow the index over all of them.
MIXED_IDS: tuple[t.Any, ...] = (
    bson.MinKey(),
    None,
    -5,
    2.5,
    bson.Int64(2**40),
    "text",
    "",
    {"a": 1},
    {"a": "x"},
    b"binary",
    bson.ObjectId("6b0000000000000000000001"),
    True,
    False,
    datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    bson.Timestamp(5, 6),
    bson.MaxKey(),
)


def load(client: t.Any, *, database: str = KINDS) -> None:
    """Fill a database with one collection of every kind."""
    shop = client[database]
    shop.plain.insert_many({"_id": number, "text": "x" * 50} for number in range(2000))
    shop.plain.create_index([("text", 1), ("_id", -1)], name="by text", sparse=True)
    shop.plain.create_index("unique", unique=True, partialFilterExpression={"unique": {"$gt": 5}})
    shop.create_collection("empty")
    shop.empty.create_index("nothing")
    shop.create_collection("capped", capped=True, size=1_000_000, max=5000)
    shop.capped.insert_many({"number": number} for number in range(100))
    shop.create_collection("series", timeseries={"timeField": "at", "metaField": "sensor", "granularity": "minutes"})
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    shop.series.insert_many(
        {"at": start + datetime.timedelta(minutes=number), "sensor": number % 3, "value": number}
        for number in range(300)
    )
    shop.create_collection("clustered", clusteredIndex={"key": {"_id": 1}, "unique": True, "name": "by id"})
    shop.clustered.insert_many({"_id": number} for number in range(300))
    shop.create_collection("german", collation={"locale": "de", "strength": 2})
    shop.german.insert_many({"_id": f"{letter}{number}"} for letter in "aäBc" for number in range(50))
    shop.german.create_index("name", unique=True, sparse=True)
    shop.create_collection("strict")
    shop.strict.insert_one({"_id": "older than the validator"})
    shop.command("collMod", "strict", validator={"$jsonSchema": {"required": ["name"]}}, validationAction="error")
    shop.strict.insert_one({"_id": "newer", "name": "x"})
    shop.create_collection("recent", viewOn="plain", pipeline=[{"$match": {"_id": {"$gt": 1990}}}])
    shop["system.js"].insert_one({"_id": "double", "value": bson.Code("function (x) { return 2 * x; }")})
    shop["odd name é"].insert_one({"_id": 1})
    shop.odd.insert_many(list(ODD))
    shop.mixed.insert_many({"_id": value} for value in MIXED_IDS)
    shop.mixed.insert_many({"_id": bson.ObjectId()} for _number in range(500))
    shop.mixed.insert_many({"_id": f"key {number}"} for number in range(500))


NAMES = (
    "capped",
    "clustered",
    "empty",
    "german",
    "mixed",
    "odd",
    "odd name é",
    "plain",
    "series",
    "strict",
    "system.js",
    "recent",
)
