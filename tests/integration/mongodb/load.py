# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A load whose transactions keep an invariant: money moves between two collections, and none is made or lost."""

from __future__ import annotations

import contextlib
import random
import threading
import typing as t

import bson
import pymongo.errors

ACCOUNTS = 200
EACH = 1000
TOTAL = 2 * ACCOUNTS * EACH


def open_accounts(database: t.Any) -> None:
    for name in ("checking", "savings"):
        database[name].drop()
        # Padding makes reading take long enough for transactions to happen in between.
        database[name].insert_many({"_id": number, "balance": EACH, "pad": "x" * 20_000} for number in range(ACCOUNTS))
    database.transfers.drop()
    database.create_collection("transfers")


def transfer(client: t.Any, database: t.Any, chance: random.Random) -> None:
    source, target = database.checking, database.savings
    if chance.random() < 0.5:
        source, target = target, source
    amount = chance.randint(1, 50)
    with client.start_session() as session, session.start_transaction():
        source.update_one({"_id": chance.randrange(ACCOUNTS)}, {"$inc": {"balance": -amount}}, session=session)
        target.update_one({"_id": chance.randrange(ACCOUNTS)}, {"$inc": {"balance": amount}}, session=session)
        database.transfers.insert_one({"amount": amount}, session=session)


@contextlib.contextmanager
def transfers(client: t.Any, database: t.Any, *, seed: int = 1) -> t.Iterator[list[int]]:
    """Transfer as fast as one client can inside the block; the list counts the transfers so far."""
    stop, count, problems = threading.Event(), [0], []

    def work() -> None:
        chance = random.Random(seed)
        while not stop.is_set():
            try:
                transfer(client, database, chance)
                count[0] += 1
            except pymongo.errors.OperationFailure as error:
                if not error.has_error_label("TransientTransactionError"):
                    problems.append(error)
                    return

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield count
    finally:
        stop.set()
        thread.join(30)
    assert not problems, problems


def total_in(documents: t.Mapping[tuple[str, str], t.Sequence[bytes]], database: str) -> int:
    """All money in an archive's two collections."""
    return sum(
        bson.decode(document)["balance"] for name in ("checking", "savings") for document in documents[database, name]
    )


def total_on(database: t.Any) -> int:
    """All money on a server."""
    return sum(
        document["balance"] for name in ("checking", "savings") for document in database[name].find({}, {"balance": 1})
    )
