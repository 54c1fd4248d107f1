# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The small collections: one for each thing that MongoDB can do and a dump can lose."""

from __future__ import annotations

import typing as t
from datetime import timedelta

from .words import ANCHOR, Source

if t.TYPE_CHECKING:
    import pymongo

    Document = dict[str, t.Any]
    Client = pymongo.MongoClient[Document]
    Database = pymongo.database.Database[Document]

# Names that need care in file names, namespaces and regular expressions.
AWKWARD_NAME = "receipts & übersicht/2026.(old)"


def create_feature_collections(client: Client, database: Database) -> int:
    """Create and fill them; returns how many documents were inserted."""
    version = tuple(client.server_info()["versionArray"][:2])
    source = Source("features", 0)
    inserted = 0

    database.create_collection("archived_tasks")
    database.create_collection("active_users", viewOn="users", pipeline=[{"$match": {"is_active": True}}])
    inserted += _capped(database, source)
    inserted += _collated(database, source)
    inserted += _validated(database, source)
    inserted += _awkward(database, source)
    if version >= (5, 0):
        inserted += _time_series(database, source)
    if version >= (5, 3):
        inserted += _clustered(database, source)
    return inserted


def _capped(database: Database, source: Source) -> int:
    collection = database.create_collection("audit_log", capped=True, size=1_048_576, max=2000)
    # More than fit: the oldest are gone, and the order that is left is part of the data.
    entries = [{"_id": number, "at": source.moment(), "event": source.text(60)} for number in range(2500)]
    collection.insert_many(entries)
    return 2000


def _collated(database: Database, source: Source) -> int:
    collection = database.create_collection("contacts", collation={"locale": "de", "strength": 2})
    names = ["Änne", "anne", "Zoë", "zoe", "Straße", "STRASSE"]
    collection.insert_many([{"_id": place, "name": name, "note": source.text(80)} for place, name in enumerate(names)])
    collection.create_index("name", name="name_collated")
    return len(names)


def _validated(database: Database, source: Source) -> int:
    schema = {
        "bsonType": "object",
        "required": ["email", "expires_at"],
        "properties": {"email": {"bsonType": "string", "pattern": "@"}, "expires_at": {"bsonType": "date"}},
    }
    options: dict[str, t.Any] = {"validator": {"$jsonSchema": schema}, "validationLevel": "strict"}
    collection = database.create_collection("invitations", **options)
    # In 2099, so that the TTL index is there but never changes the data.
    far = ANCHOR.replace(year=2099)
    valid = [
        {"_id": number, "email": f"guest{number}@example.org", "expires_at": far + timedelta(hours=number)}
        for number in range(300)
    ]
    collection.insert_many(valid)
    # As if it had been written before the rule: a restore that validates would drop it without a word.
    broken = {"_id": 300, "email": 42, "remark": source.text(50)}
    collection.insert_one(broken, bypass_document_validation=True)
    collection.create_index("expires_at", name="expiry", expireAfterSeconds=0)
    return len(valid) + 1


def _awkward(database: Database, source: Source) -> int:
    from bson import Code, MaxKey, MinKey, Regex, Timestamp

    documents: list[Document] = [
        {"_id": "types", "low": MinKey(), "high": MaxKey(), "pattern": Regex("^a.*b$", "i"), "code": Code("return 1")},
        {"_id": "clock", "timestamp": Timestamp(1_700_000_000, 7), "nothing": None, "empty": {}, "list": []},
        {"_id": "order", "z": 1, "a": 2, "m": 3, "dotted": {"a.b": 1, "$dollar": 2}},
        {"_id": "large", "text": source.text(500_000)},
        {"_id": {"compound": 1, "key": "yes"}, "infinity": float("inf"), "minus": -0.0},
    ]
    database[AWKWARD_NAME].insert_many(documents)
    return len(documents)


def _time_series(database: Database, source: Source) -> int:
    options = {"timeField": "at", "metaField": "device", "granularity": "minutes"}
    collection = database.create_collection("usage_events", timeseries=options)
    start = ANCHOR - timedelta(days=14)
    events = [
        {
            "_id": number,
            "at": start + timedelta(minutes=5 * (number // 20)),
            "device": {"name": f"tablet-{number % 20}", "room": source.pick(("kitchen", "hall", "study"))},
            "minutes": source.number(60),
            "battery": source.number(1000) / 10,
        }
        for number in range(4000)
    ]
    collection.insert_many(events)
    collection.create_index([("device.name", 1), ("at", -1)], name="device_newest")
    return len(events)


def _clustered(database: Database, source: Source) -> int:
    clustered: dict[str, t.Any] = {"key": {"_id": 1}, "unique": True, "name": "sessions_by_time"}
    collection = database.create_collection("sessions", clusteredIndex=clustered)
    sessions = [
        {"_id": ANCHOR - timedelta(seconds=7 * number), "token": f"{source.bits(256):064x}", "user": source.uuid()}
        for number in range(1000)
    ]
    collection.insert_many(sessions)
    return len(sessions)
