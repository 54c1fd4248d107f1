# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What removing saves, and what is billed all the same."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import PriceTableInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.costs import (
    ClassCosts,
    PlanCosts,
    PriceTable,
    money_text,
    plan_costs,
    price_table_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.planner import plan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import Entry
from tests.unit.retention.samples import DAY, HOUR, NOW, OPLOG, content, daily, planned, policy, stream

GIB = 1024**3
PRICES = price_table_from(
    {
        "currency": "USD",
        "classes": {
            "STANDARD": {"gib_month": 0.023},
            "STANDARD_IA": {"gib_month": "0.0125"},
            "COLD": {"gib_month": 0.001, "minimum_days": 100},
        },
    }
)
WEEK = policy(keep={"within": "7d", "minimum_verified": 0})


def costs_of(*going: Entry, prices: PriceTable = PRICES, storage_class: str | None = None) -> PlanCosts:
    made = planned([*going, *daily(3, storage_class="STANDARD", stored_bytes=99 * GIB)], WEEK)
    assert len(made.removals) == len(going)
    return plan_costs(made, prices, storage_class=storage_class)


def old(days: float, gib: float = 1.0, **more: t.Any) -> Entry:
    began = NOW - DAY * days - datetime.timedelta(minutes=10)
    (one,) = daily(1)
    values = {"stored_bytes": int(gib * GIB), **more}
    identity = f"{began:%Y%m%dT%H%M%SZ}-000000"
    return dataclasses.replace(one, started=began, finished=NOW - DAY * days, backup_id=identity, **values)


def only(costs: PlanCosts) -> ClassCosts:
    (one,) = costs.classes
    return one


def test_deleting_now_still_bills_the_rest_of_the_minimum() -> None:
    # Stored 18 days ago in a class that bills 30 days at least: 12 days are left.
    costs = costs_of(old(18, 300.0, storage_class="STANDARD_IA"))
    one = only(costs)
    assert (one.storage_class, one.backups, one.bytes, one.early, one.still_billed_days) == (
        "STANDARD_IA",
        1,
        300 * GIB,
        1,
        12,
    )
    # 300 GiB at 0.0125 a month, and 12 of its 30 days.
    assert (costs.saved_per_month, costs.still_billed) == (decimal.Decimal("3.75"), decimal.Decimal("1.5"))
    assert costs.as_dict()["classes"] == [
        {
            "storage_class": "STANDARD_IA",
            "backups": 1,
            "bytes": 300 * GIB,
            "saved_per_month": "3.7500",
            "minimum_days": 30,
            "early": 1,
            "still_billed_days": 12,
            "still_billed": "1.5000",
        }
    ]


def test_a_day_that_has_begun_is_told_as_a_day_and_billed_by_its_hours() -> None:
    costs = costs_of(old(29.5, 60.0, storage_class="STANDARD_IA"))
    assert only(costs).still_billed_days == 1
    assert costs.still_billed == decimal.Decimal("0.0125")


def test_nothing_is_billed_twice_when_the_minimum_is_over() -> None:
    costs = costs_of(old(30, storage_class="STANDARD_IA"), old(300, storage_class="STANDARD_IA"))
    assert (only(costs).backups, only(costs).early, only(costs).still_billed_days) == (2, 0, 0)
    assert costs.still_billed == 0


def test_the_time_counts_from_when_it_was_stored_where_that_is_known() -> None:
    # It was copied there ten days after it was made.
    one = old(35, storage_class="STANDARD_IA", stored=NOW - DAY * 25)
    assert only(costs_of(one)).still_billed_days == 5


def test_a_table_says_how_long_a_class_bills_and_amazons_are_known() -> None:
    assert only(costs_of(old(40, storage_class="COLD"))).still_billed_days == 60
    for name, days in (("ONEZONE_IA", 10), ("GLACIER_IR", 70), ("GLACIER", 70), ("DEEP_ARCHIVE", 160), ("STANDARD", 0)):
        one = only(costs_of(old(20, storage_class=name), prices=PriceTable()))
        assert (one.still_billed_days, one.saved_per_month, one.still_billed) == (days, None, None), name
    shorter = price_table_from({"currency": "USD", "classes": {"STANDARD_IA": {"gib_month": 1, "minimum_days": 0}}})
    assert only(costs_of(old(20, storage_class="STANDARD_IA"), prices=shorter)).early == 0


def test_what_has_no_price_is_counted_apart() -> None:
    costs = costs_of(old(10, 2.0, storage_class="STANDARD"), old(11, 3.0, storage_class="GLACIER"), old(12, 5.0))
    assert [one.storage_class for one in costs.classes] == ["", "GLACIER", "STANDARD"]
    assert costs.saved_per_month == decimal.Decimal("0.046")
    assert costs.unpriced_bytes == 8 * GIB
    assert costs_of(old(10), prices=PriceTable()).saved_per_month is None


def test_what_says_no_class_is_of_the_repositorys() -> None:
    assert costs_of(old(10, 2.0), storage_class="STANDARD").saved_per_month == decimal.Decimal("0.046")
    anything = price_table_from({"currency": "EUR", "classes": {"default": {"gib_month": "0.01"}}})
    assert costs_of(old(10, 2.0, storage_class="X"), prices=anything).saved_per_month == decimal.Decimal("0.02")


def test_hours_of_streams_are_counted_too() -> None:
    log = policy(OPLOG, keep={"within": "2d"}, is_stream=True)
    whole = stream(NOW - 4 * DAY, NOW)
    whole = dataclasses.replace(whole, hours=tuple(dataclasses.replace(one, stored_bytes=GIB) for one in whole.hours))
    made = plan(content([], whole), (log,), now=NOW)
    costs = plan_costs(made, PRICES, storage_class="STANDARD_IA")
    one = only(costs)
    # The span's first moment is the last one of the hour before, which stays.
    assert (one.backups, one.bytes, one.early, one.still_billed_days) == (0, 47 * GIB, 47, 28)
    assert costs.saved_per_month == decimal.Decimal("0.0125") * 47


def test_what_is_held_back_saves_nothing() -> None:
    failed = dataclasses.replace(daily(1)[0], state="failed")
    made = plan(content([old(20), failed]), (WEEK,), now=NOW + HOUR)
    assert made.refusals
    assert plan_costs(made, PRICES).classes == ()
    assert plan_costs(made, PRICES).as_dict()["saved_per_month"] is None


@pytest.mark.parametrize(
    ("amount", "words"),
    [("0", "0.00 USD"), ("0.004", "less than 0.01 USD"), ("3.2", "3.20 USD"), ("1234.567", "1234.57 USD")],
)
def test_money_is_told_to_the_cent(amount: str, words: str) -> None:
    assert money_text(decimal.Decimal(amount), "USD") == words


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ([], "has the keys currency and classes"),
        ({"currency": "USD"}, "has the keys currency and classes"),
        ({"currency": "USD", "classes": {}, "vat": 1}, "has the keys currency and classes"),
        ({"currency": " ", "classes": {}}, "in which currency"),
        ({"classes": {}}, "in which currency"),
        ({"currency": "USD", "classes": {"A": 0.1}}, "The price of A has the keys"),
        ({"currency": "USD", "classes": {"A": {"minimum_days": 3}}}, "The price of A has the keys"),
        ({"currency": "USD", "classes": {"A": {"gib_month": 1, "gb": 1}}}, "The price of A has the keys"),
        ({"currency": "USD", "classes": {"A": {"gib_month": "free"}}}, "'free', which is no amount of money"),
        ({"currency": "USD", "classes": {"A": {"gib_month": -1}}}, "-1, which is no amount"),
        ({"currency": "USD", "classes": {"A": {"gib_month": float("nan")}}}, "nan, which is no amount"),
        ({"currency": "USD", "classes": {"A": {"gib_month": True}}}, "True, which is no amount"),
        ({"currency": "USD", "classes": {"A": {"gib_month": None}}}, "None, which is no amount"),
        ({"currency": "USD", "classes": {"A": {"gib_month": 1, "minimum_days": -1}}}, "no number of days"),
        ({"currency": "USD", "classes": {"A": {"gib_month": 1, "minimum_days": 1.5}}}, "no number of days"),
    ],
)
def test_a_table_that_is_none_is_refused_with_an_example(data: t.Any, why: str) -> None:
    with pytest.raises(PriceTableInvalid) as caught:
        price_table_from(data)
    assert why in caught.value.message
    assert "gib_month: 0.0125" in caught.value.hint
