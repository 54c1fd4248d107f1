# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``second_brain_database``: a family's notes and accounts, and one collection for each feature to keep."""

from __future__ import annotations

import hashlib
import struct
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

from .loaded import Loaded, marker
from .mongodb_features import create_feature_collections
from .words import ANCHOR, FAMILY_NAMES, GIVEN_NAMES, chunks, numbered_uuid

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    import pymongo

    from .words import Source

    Document = dict[str, t.Any]
    Client = pymongo.MongoClient[Document]
    Database = pymongo.database.Database[Document]

DATABASE = "second_brain_database"
_MARKER_DATABASE = "sandbox"
_BATCH = 1000
# Of 1 MB of data: documents by collection, by their measured average size in BSON.
_PER_MEGABYTE = {"users": 120, "families": 30, "family_relationships": 150, "notes": 400}
_RELATIONS = ("parent", "child", "sibling", "spouse", "grandparent", "guardian", "cousin")
_TAGS = ("school", "health", "money", "home", "travel", "work", "ideas", "recipes", "sports", "music")


def load_mongodb(uri: str, *, megabytes: float = 55) -> Loaded:
    """Load it unless the same is there; anything else in ``second_brain_database`` is dropped first."""
    import pymongo

    started = time.monotonic()
    with pymongo.MongoClient[t.Any](uri, tz_aware=True, serverSelectionTimeoutMS=20_000) as client:
        loaded = client[_MARKER_DATABASE]["loaded"]
        found = loaded.find_one({"_id": DATABASE})
        if found is not None and found["marker"] == marker(megabytes):
            return Loaded(DATABASE, megabytes, found["documents"], time.monotonic() - started, skipped=True)
        loaded.delete_one({"_id": DATABASE})
        client.drop_database(DATABASE)
        database = client[DATABASE]
        documents = create_feature_collections(client, database)
        documents += _insert(database, megabytes)
        _create_indexes(database)
        loaded.insert_one({"_id": DATABASE, "marker": marker(megabytes), "documents": documents})
    return Loaded(DATABASE, megabytes, documents, time.monotonic() - started, skipped=False)


def _insert(database: Database, megabytes: float) -> int:
    """Insert one batch while the next is made; in order, so that the natural order is the same every time, too."""
    documents = 0
    with ThreadPoolExecutor(max_workers=1) as pool:
        previous = None
        for collection, batch in batches(megabytes):
            if previous is not None:
                previous.result()
            previous = pool.submit(database[collection].insert_many, batch)
            documents += len(batch)
        if previous is not None:
            previous.result()
    return documents


def digest_mongodb(megabytes: float) -> tuple[str, int]:
    """SHA-256 and length in bytes of all documents of the big collections, in BSON, without any server."""
    import bson

    digest = hashlib.sha256()
    length = 0
    for collection, batch in batches(megabytes):
        digest.update(collection.encode())
        for document in batch:
            encoded = bson.encode(document)
            digest.update(encoded)
            length += len(encoded)
    return digest.hexdigest(), length


def batches(megabytes: float) -> Iterator[tuple[str, list[Document]]]:
    """Every document of the big collections, in order, as (collection, up to 1000 documents)."""
    counts = {name: max(10, round(per_megabyte * megabytes)) for name, per_megabyte in _PER_MEGABYTE.items()}
    makers = {"users": _user, "families": _family, "family_relationships": _relationship, "notes": _note}
    for name, make in makers.items():
        for source, numbers in chunks(name, counts[name], _BATCH):
            yield name, [make(source, number, counts) for number in numbers]


def _object_id(kind: int, number: int) -> t.Any:
    from bson import ObjectId

    return ObjectId(struct.pack(">IIHH", int(ANCHOR.timestamp()) - 63_072_000 + number, number, kind, 0x4C42))


def _user(source: Source, number: int, counts: dict[str, int]) -> Document:
    from bson import Binary, Int64

    name, family = source.pick(GIVEN_NAMES), source.pick(FAMILY_NAMES)
    created = source.moment()
    return {
        "_id": _object_id(1, number),
        "user_id": numbered_uuid("user", number),
        "username": f"{name}.{family}.{number}".lower(),
        "email": f"{name}.{family}.{number}@example.org".lower(),
        "full_name": f"{name} {family}",
        "is_active": source.number(100) < 85,
        "role": "admin" if source.number(50) == 0 else "user",
        "hashed_password": f"$2b$12${source.bits(256):064x}",
        "device_key": Binary(source.bits(256).to_bytes(32, "big")),
        "created_at": created,
        "last_login": created + timedelta(seconds=source.number(1_000_000)) if source.number(10) else None,
        "login_count": Int64(source.number(5000)),
        "bio": source.text(180 + source.number(240)),
        "families": [
            numbered_uuid("family", source.number(counts["families"])) for dummy in range(1 + source.number(2))
        ],
        "preferences": {
            "language": source.pick(("en", "de", "fr", "es", "pl")),
            "notifications": {
                "email": source.number(2) == 0,
                "push": source.number(3) > 0,
                "digest_hour": source.number(24),
            },
            "theme": source.pick(("light", "dark", "system")),
        },
    }


def _family(source: Source, number: int, counts: dict[str, int]) -> Document:
    from bson import Decimal128

    members = 2 + source.number(6)
    return {
        "_id": _object_id(2, number),
        "family_id": numbered_uuid("family", number),
        "name": f"{source.pick(FAMILY_NAMES)} {number}",
        "admin_user_ids": [
            numbered_uuid("user", source.number(counts["users"])) for dummy in range(1 + source.number(2))
        ],
        "member_ids": [numbered_uuid("user", source.number(counts["users"])) for dummy in range(members)],
        "member_count": members,
        "account": {
            "account_username": f"family_{number}",
            "balance": Decimal128(f"{source.number(100_000)}.{source.number(100):02d}"),
            "is_frozen": source.number(40) == 0,
            "spending_permissions": {f"member_{place}": {"limit": source.number(500)} for place in range(members)},
        },
        "description": source.text(150 + source.number(200)),
        "created_at": source.moment(),
    }


def _relationship(source: Source, number: int, counts: dict[str, int]) -> Document:
    return {
        "_id": _object_id(3, number),
        "relationship_id": UUID(numbered_uuid("relationship", number)).hex,
        "family_id": numbered_uuid("family", source.number(counts["families"])),
        "user_a_id": numbered_uuid("user", source.number(counts["users"])),
        "user_b_id": numbered_uuid("user", source.number(counts["users"])),
        "relationship_type": source.pick(_RELATIONS),
        "status": "active" if source.number(10) else "pending",
        "remark": source.text(40 + source.number(120)),
        "created_at": source.moment(),
    }


def _note(source: Source, number: int, counts: dict[str, int]) -> Document:
    created = source.moment()
    return {
        "_id": _object_id(4, number),
        "note_id": source.uuid(),
        "owner_id": numbered_uuid("user", source.number(counts["users"])),
        "title": source.text(20 + source.number(50)),
        "body": source.text(600 + source.number(1800)),
        "tags": [source.pick(_TAGS) for dummy in range(1 + source.number(4))],
        "word_count": source.number(400),
        "importance": source.number(1000) / 999,
        "checklist": [{"done": source.number(2) == 0, "text": source.text(30)} for dummy in range(source.number(4))],
        "place": {
            "type": "Point",
            "coordinates": [source.number(36_000) / 100 - 180, source.number(17_000) / 100 - 85],
        },
        "revision": {"number": 1 + source.number(30), "checksum": f"{source.bits(160):040x}"},
        "created_at": created,
        "updated_at": created + timedelta(seconds=source.number(5_000_000)),
        "archived": source.number(8) == 0,
    }


def _create_indexes(database: Database) -> None:
    from pymongo import ASCENDING, DESCENDING, HASHED, TEXT, IndexModel

    users = [
        IndexModel([("email", ASCENDING)], name="email_unique", unique=True),
        IndexModel([("username", ASCENDING)], name="username_folded", collation={"locale": "en", "strength": 2}),
        IndexModel([("last_login", DESCENDING)], name="active_by_login", partialFilterExpression={"is_active": True}),
    ]
    families = [
        IndexModel([("family_id", ASCENDING)], name="family_id_unique", unique=True),
        IndexModel([("account.account_username", ASCENDING)], name="account_sparse", sparse=True),
        IndexModel([("account.spending_permissions.$**", ASCENDING)], name="permissions_wildcard"),
    ]
    relationships = [
        IndexModel([("family_id", ASCENDING), ("user_a_id", ASCENDING), ("user_b_id", DESCENDING)], name="pair"),
        IndexModel([("user_a_id", HASHED)], name="user_a_hashed"),
    ]
    notes = [
        IndexModel([("owner_id", ASCENDING), ("created_at", DESCENDING)], name="owner_newest"),
        IndexModel([("title", TEXT), ("tags", TEXT)], name="words", weights={"title": 10, "tags": 2}),
        IndexModel([("place", "2dsphere")], name="place_2dsphere"),
    ]
    database["users"].create_indexes(users)
    database["families"].create_indexes(families)
    database["family_relationships"].create_indexes(relationships)
    database["notes"].create_indexes(notes)
