# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A writer that does everything that an oplog can hold, and notes after each acknowledged step what the server held.

The notes come from the source itself, not from a replay: what a recovery brings is compared with them byte by byte.
"""

from __future__ import annotations

import datetime
import time
import typing as t
from dataclasses import dataclass

import bson
import pymongo

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.timestamps import Position
from tests.integration.mongodb.recovering import last_position, positions, state_of

#: The databases that it writes to.
DATABASES = ("led", "aux")
#: So that a transaction of a few documents takes several entries.
PARAMETERS = {"maxNumberOfTransactionOperationsInSingleOplogEntry": "2"}
_IN_THE_NEXT_SECOND = 20
_AT = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_LATER = datetime.datetime(2096, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Noted:
    """One step: the positions of its first and its last entry, and everything that was there after it."""

    name: str
    first: Position
    last: Position
    state: t.Mapping[str, t.Any]
    entries: int


def begin(client: t.Any) -> None:
    """What is there before the backup."""
    led, aux = (client[name] for name in DATABASES)
    led.ledger.insert_many({"_id": number, "v": 0} for number in range(20))
    led.ledger.create_index("v")
    led.orders.insert_many({"_id": number, "items": list(range(5)), "sub": {"a": 1, "b": 2}} for number in range(20))
    led.orders.create_index("unique", unique=True, sparse=True)
    led.create_collection("log", capped=True, size=4096, max=15)
    led.log.insert_many({"_id": number} for number in range(10))
    led.create_collection("weather", timeseries={"timeField": "at", "metaField": "s"}, expireAfterSeconds=10**9)
    led.weather.insert_many({"at": _AT + datetime.timedelta(minutes=n), "s": n % 2, "v": n} for n in range(10))
    led.create_collection("seen", viewOn="orders", pipeline=[{"$match": {"_id": {"$lt": 5}}}])
    led.sessions.insert_many({"_id": number, "at": _LATER} for number in range(5))
    led.sessions.create_index("at", expireAfterSeconds=3600)
    led.create_collection("ages", clusteredIndex={"key": {"_id": 1}, "unique": True}, expireAfterSeconds=10**6)
    led.ages.insert_many({"_id": _LATER + datetime.timedelta(days=n)} for n in range(3))
    led.victim.insert_many({"_id": number} for number in range(10))
    led.indexed.insert_many({"_id": number, "x": number} for number in range(10))
    led.indexed.create_index("x", unique=True)
    aux.things.insert_many({"_id": number} for number in range(10))


def _transaction(client: t.Any, work: t.Callable[[t.Any], None], *, commit: bool = True) -> None:
    with client.start_session() as session:
        session.start_transaction()
        work(session)
        if commit:
            session.commit_transaction()
        else:
            session.abort_transaction()


def steps(client: t.Any) -> t.Iterator[tuple[str, t.Callable[[], t.Any]]]:
    """Every kind of operation, by name, in an order in which they can be done."""
    led, aux = (client[name] for name in DATABASES)

    def small(session: t.Any) -> None:
        led.ledger.insert_one({"_id": 200, "v": 1}, session=session)
        aux.things.update_one({"_id": 1}, {"$set": {"v": 1}}, session=session)

    def large(session: t.Any) -> None:
        for number in range(7):
            led.ledger.insert_one({"_id": 300 + number, "v": number}, session=session)
        led.orders.delete_one({"_id": 3}, session=session)
        aux.things.update_many({"_id": {"$lt": 3}}, {"$inc": {"w": 5}}, session=session)

    def making(session: t.Any) -> None:
        led.create_collection("in_transaction", session=session)
        led.in_transaction.insert_one({"_id": 1}, session=session)

    yield "insert", lambda: led.ledger.insert_one({"_id": 100, "v": 100})
    yield "insert many", lambda: led.ledger.insert_many({"_id": 101 + number, "v": number} for number in range(10))
    yield "update of a field", lambda: led.orders.update_one({"_id": 1}, {"$set": {"sub.a": 7}, "$unset": {"sub.b": 1}})
    yield (
        "update of an array",
        lambda: led.orders.update_one({"_id": 2}, {"$push": {"items": {"$each": [9], "$slice": -3}}}),
    )
    yield "replacement", lambda: led.orders.replace_one({"_id": 4}, {"other": bson.Int64(2**40)})
    yield "upsert", lambda: led.orders.update_one({"_id": "new"}, {"$set": {"x": 1}}, upsert=True)
    yield "update many", lambda: led.ledger.update_many({"_id": {"$lt": 8}}, {"$inc": {"v": 3}})
    yield "find and modify", lambda: led.ledger.find_one_and_update({"_id": 9}, {"$inc": {"v": 1}})
    yield "delete", lambda: led.ledger.delete_one({"_id": 5})
    yield "insert of what was deleted", lambda: led.ledger.insert_one({"_id": 5, "v": "again"})
    yield "delete many", lambda: led.ledger.delete_many({"_id": {"$gte": 14, "$lt": 18}})
    yield "capped, over its end", lambda: led.log.insert_many({"_id": 50 + number} for number in range(12))
    yield "small transaction", lambda: _transaction(client, small)
    yield "large transaction", lambda: _transaction(client, large)
    yield (
        "aborted transaction",
        lambda: _transaction(client, lambda s: led.ledger.insert_one({"_id": 999}, session=s), commit=False),
    )
    yield "collection made in a transaction", lambda: _transaction(client, making)
    yield "index", lambda: led.ledger.create_index([("v", 1), ("w", -1)], name="by v and w")
    yield "hidden index", lambda: led.command("collMod", "ledger", index={"name": "by v and w", "hidden": True})
    yield "index dropped", lambda: led.ledger.drop_index("v_1")
    yield (
        "age of an index",
        lambda: led.command("collMod", "sessions", index={"keyPattern": {"at": 1}, "expireAfterSeconds": 7200}),
    )
    yield "age of a clustered collection", lambda: led.command("collMod", "ages", expireAfterSeconds=5 * 10**6)
    yield "validator", lambda: led.command("collMod", "orders", validator={"x": {"$ne": 5}}, validationLevel="moderate")
    yield "collection with options", lambda: led.create_collection("german", collation={"locale": "de", "strength": 2})
    yield "into it", lambda: led.german.insert_many([{"_id": "a"}, {"_id": "ä"}])
    yield (
        "time series",
        lambda: led.weather.insert_many(
            {"at": _AT + datetime.timedelta(minutes=n), "s": 1, "v": -n} for n in range(10, 14)
        ),
    )
    yield "age of a time series", lambda: led.command("collMod", "weather", expireAfterSeconds=15 * 10**8)
    yield "new time series", lambda: led.create_collection("rain", timeseries={"timeField": "at"})
    yield "into the new time series", lambda: led.rain.insert_one({"at": _AT, "mm": 3})
    yield "view", lambda: led.create_collection("shown", viewOn="ledger", pipeline=[{"$match": {"v": {"$gt": 1}}}])
    yield (
        "view changed",
        lambda: led.command({"collMod": "seen", "viewOn": "orders", "pipeline": [{"$match": {"_id": {"$gt": 15}}}]}),
    )
    yield "view dropped", led.shown.drop
    yield "renamed", lambda: led.victim.rename("survivor")
    yield "renamed with its index", lambda: led.indexed.rename("kept")
    yield "into the renamed", lambda: led.survivor.insert_one({"_id": "after"})
    yield "another of the old name", lambda: led.victim.insert_one({"_id": "another"})
    yield "renamed over another", lambda: led.victim.rename("survivor", dropTarget=True)
    yield (
        "renamed into another database",
        lambda: client.admin.command("renameCollection", "aux.things", to="led.things"),
    )
    yield "aggregated into a new one", lambda: list(led.ledger.aggregate([{"$match": {"v": 1}}, {"$out": "made"}]))
    yield "aggregated over one", lambda: list(led.ledger.aggregate([{"$match": {"v": 3}}, {"$out": "made"}]))
    yield "made capped", lambda: led.command("convertToCapped", "made", size=100_000)
    yield "time series dropped", led.rain.drop
    yield "collection of a time series' name", lambda: led.rain.insert_one({"_id": "no series"})
    yield "base's time series dropped", led.weather.drop
    yield "collection of its name", lambda: led.weather.insert_one({"_id": "no series"})
    yield "dropped", led.orders.drop
    yield "made again", lambda: led.orders.insert_one({"_id": 1, "second": "life"})
    yield "stored function", lambda: led["system.js"].insert_one({"_id": "f", "value": bson.Code("function () {}")})
    yield "new database", lambda: aux.fresh.insert_one({"_id": 1})
    yield "database dropped", lambda: client.drop_database("aux")
    yield "database made again", lambda: aux.fresh.insert_one({"_id": 2})
    yield (
        "bulk",
        lambda: led.ledger.bulk_write(
            [
                pymongo.InsertOne({"_id": 400}),
                pymongo.UpdateOne({"_id": 400}, {"$set": {"v": 1}}),
                pymongo.DeleteOne({"_id": 2}),
            ]
        ),
    )


def wait_for_the_next_second(client: t.Any) -> None:
    """So that a second ends between two steps, and not in one."""
    second = last_position(client)[0]
    while last_position(client)[0] == second:
        time.sleep(0.02)
        client.admin.command("appendOplogNote", 1, data={"msg": "a moment later"})


def write(client: t.Any) -> list[Noted]:
    """Do all steps; the notes."""
    noted: list[Noted] = []
    for number, (name, doing) in enumerate(steps(client)):
        if number == _IN_THE_NEXT_SECOND:
            wait_for_the_next_second(client)
        before = last_position(client)
        doing()
        after = [one for one in positions(client, before) if one > before]
        if not after:
            after = [before]
        noted.append(
            Noted(name=name, first=after[0], last=after[-1], state=state_of(client, DATABASES), entries=len(after))
        )
    return noted
