# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was destroyed, and the position just before it."""

from __future__ import annotations

import contextlib
import datetime
import json
import typing as t
from pathlib import Path

import bson

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.find_damage import find_damage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_damage import (
    Damage,
    DamageFinder,
    Thresholds,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.damage import damage_text
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import StoredSegment
from tests.unit.mongodb.oplog_entries import end, entry, insert, sliced, stream

FEW = Thresholds(deletes=3, updates=4, pause=5)


def command(position: tuple[int, int], body: dict[str, t.Any], *, database: str = "shop") -> bytes:
    return entry(position, op="c", ns=f"{database}.$cmd", o=body)


def delete(position: tuple[int, int], key: t.Any, *, ns: str = "shop.orders") -> bytes:
    return entry(position, op="d", ns=ns, o={"_id": key})


def update(position: tuple[int, int], key: t.Any, *, ns: str = "shop.orders") -> bytes:
    return entry(position, op="u", ns=ns, o={"$v": 2, "diff": {"u": {"x": 1}}}, o2={"_id": key})


def found(entries: t.Iterable[bytes], *, begins: int = 0, ends: int = 10_000) -> tuple[Damage, ...]:
    finder = DamageFinder(begins=(begins, 0), ends=(ends, 2**32 - 1), thresholds=FEW)
    with contextlib.closing(finder):
        for raw in entries:
            finder.take(raw)
        return finder.finish()


def test_drops_and_renames() -> None:
    kinds = found(
        [
            command((100, 1), {"drop": "orders"}),
            command((101, 1), {"renameCollection": "shop.a", "to": "shop.b", "dropTarget": True}),
            command((102, 1), {"dropIndexes": "orders", "index": "by price"}),
            command((103, 1), {"collMod": "orders", "validator": {}}),
            command((104, 1), {"create": "orders"}),
            command((105, 1), {"drop": "image"}, database="config"),
            entry((106, 1), op="d", ns="shop.system.views", o={"_id": "shop.seen"}),
        ]
    )
    assert [(one.kind, one.before, one.detail) for one in kinds] == [
        ("drop", (100, 1), ""),
        ("rename", (101, 1), "became shop.b, which was dropped"),
        ("drop of an index", (102, 1), "by price"),
        ("change of a collection", (103, 1), ""),
        ("drop of a view", (106, 1), ""),
    ]
    assert kinds[0].skip == ("100:1",)
    text = damage_text([one.as_dict() for one in kinds])
    assert "--before-operation 100:1" in text
    assert "--skip-op 100:1" in text
    assert "shop.seen" in text


def test_the_drops_of_a_database_are_one() -> None:
    (one, other) = found(
        [
            command((90, 1), {"drop": "earlier"}),
            command((100, 1), {"drop": "orders"}),
            command((100, 2), {"drop": "customers"}),
            insert((100, 3)),
            command((100, 4), {"dropDatabase": 1}),
        ]
    )
    assert one.kind == "drop"
    assert (other.kind, other.before, other.last, other.count) == ("drop of a database", (100, 1), (100, 4), 2)
    assert other.namespaces == ("shop",)
    assert other.skip == ("100:1", "100:2", "100:4")
    assert other.detail == "orders, customers"


def test_many_deletes_and_updates() -> None:
    entries = [delete((100 + number, 1), number) for number in range(4)]
    entries += [delete((120 + number, 1), number) for number in range(2)]  # too few
    entries += [update((130, number), number, ns="shop.customers") for number in range(1, 6)]
    deletes, updates = found(entries)
    assert (deletes.kind, deletes.before, deletes.last, deletes.count) == ("mass delete", (100, 1), (103, 1), 4)
    assert deletes.samples == (0, 1, 2, 3)
    assert (updates.kind, updates.before, updates.count) == ("mass update", (130, 1), 5)
    assert json.loads(json.dumps(updates.as_dict()))["before_operation"] == "130:1"


def test_a_pause_divides() -> None:
    entries = [delete((100 + 5 * number, 1), number) for number in range(4)]
    assert [one.count for one in found(entries)] == [4]
    entries = [delete((100 + 6 * number, 1), number) for number in range(4)]
    assert found(entries) == ()


def many(position: tuple[int, int], keys: t.Iterable[int], *, before: tuple[int, int], last: bool) -> bytes:
    operations = [{"op": "d", "ns": "shop.orders", "o": {"_id": key}} for key in keys]
    body: dict[str, t.Any] = {"applyOps": operations, **({} if last else {"partialTxn": True})}
    return entry(
        position,
        op="c",
        ns="admin.$cmd",
        o=body,
        lsid={"id": bson.Binary(b"s" * 16, 4)},
        txnNumber=bson.Int64(7),
        prevOpTime={"ts": bson.Timestamp(*before), "t": bson.Int64(1)},
    )


def test_in_a_transaction_everything_happens_at_its_end() -> None:
    entries = [
        many((100, 1), range(2), before=(0, 0), last=False),
        insert((100, 2)),
        many((100, 3), range(2, 4), before=(100, 1), last=True),
    ]
    (one,) = found(entries)
    assert (one.before, one.count, one.in_transaction) == ((100, 3), 4, True)
    assert one.skip == ("100:1/0", "100:1/1", "100:3/0", "100:3/1")
    # Also when only the end is in the span.
    (late,) = found(
        [entries[0], entry((4000, 1)), many((5000, 1), range(2, 4), before=(100, 1), last=True)], begins=4500
    )
    assert (late.before, late.count) == ((5000, 1), 4)
    assert found([entries[0], end((100, 3), of=7, before=(100, 1), command="abortTransaction")]) == ()


def test_only_the_slices_around_are_read(tmp_path: Path) -> None:
    entries = [insert((1000 + number, 1), number) for number in range(100)]
    entries[50] = command((1050, 1), {"drop": "orders"})
    entries[90] = command((1090, 1), {"drop": "customers"})
    slices, contents = sliced(str(tmp_path), entries, cut=5)
    fetched: list[str] = []

    def fetch(segment: StoredSegment, path: str) -> None:
        fetched.append(segment.segment.name)
        Path(path).write_bytes(contents[[one.name for one in slices].index(segment.segment.name)])

    around = datetime.datetime.fromtimestamp(1052, tz=datetime.timezone.utc)
    (one,) = find_damage([stream(slices)], fetch=fetch, around=around, span=datetime.timedelta(seconds=4))
    assert one.namespaces == ("shop.orders",)
    assert one.before == (1050, 1)
    assert len(fetched) <= 4
    assert find_damage([], fetch=fetch, around=around) == ()
