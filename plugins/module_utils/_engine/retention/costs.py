# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What removing saves, and what it costs all the same: by a table of prices that is given as data. Pure.

Some storage classes bill an object for a number of days even when it is deleted before: the rest of these days is still
paid. A month is 30 days, a GiB 1024^3 bytes; requests and transfers are not counted.
"""

from __future__ import annotations

import datetime
import decimal
import typing as t
from dataclasses import dataclass, field

from ..core.errors import PriceTableInvalid
from ..streams.layout import hour_end
from .values import REMOVED, RetentionPlan

#: Days that each storage class of Amazon S3 bills at least, where a table doesn't say otherwise (the user guide's page
#: "Understanding and managing Amazon S3 storage classes", column "Min storage duration").
MINIMUM_DAYS: t.Mapping[str, int] = {
    "STANDARD_IA": 30,
    "ONEZONE_IA": 30,
    "GLACIER_IR": 90,
    "GLACIER": 90,
    "DEEP_ARCHIVE": 180,
}
#: In a table: what has no class that it names.
ANY_CLASS = "default"
_GIB = 1024**3
_MONTH = datetime.timedelta(days=30)
_DAY = datetime.timedelta(days=1)
_MICROSECOND = datetime.timedelta(microseconds=1)
_HINT = "Write for example: {currency: USD, classes: {STANDARD_IA: {gib_month: 0.0125, minimum_days: 30}}}"


@dataclass(frozen=True)
class Price:
    """Of one GiB for one month, None when it is not known; *minimum_days* are billed at least."""

    gib_month: decimal.Decimal | None
    minimum_days: int = 0


@dataclass(frozen=True)
class PriceTable:
    """Prices by storage class. An empty one knows no money, but how long Amazon's classes bill at least."""

    currency: str = ""
    classes: t.Mapping[str, Price] = field(default_factory=dict)

    def price_of(self, storage_class: str) -> Price:
        """The price of a class, or that of any, or how long it bills at least."""
        found = self.classes.get(storage_class) or self.classes.get(ANY_CLASS)
        return found or Price(gib_month=None, minimum_days=MINIMUM_DAYS.get(storage_class, 0))


@dataclass(frozen=True)
class ClassCosts:
    """What goes of one storage class. *early* backups and hours of streams are younger than its *minimum_days*."""

    storage_class: str
    backups: int
    bytes: int
    saved_per_month: decimal.Decimal | None
    minimum_days: int
    early: int
    still_billed_days: int
    still_billed: decimal.Decimal | None

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values; money as text."""
        return {
            "storage_class": self.storage_class,
            "backups": self.backups,
            "bytes": self.bytes,
            "saved_per_month": _text(self.saved_per_month),
            "minimum_days": self.minimum_days,
            "early": self.early,
            "still_billed_days": self.still_billed_days,
            "still_billed": _text(self.still_billed),
        }


@dataclass(frozen=True)
class PlanCosts:
    """What a plan saves, by storage class. Money is None where no price is known for anything of it."""

    currency: str
    classes: tuple[ClassCosts, ...]

    @property
    def saved_per_month(self) -> decimal.Decimal | None:
        """What the storage will cost less each month, as far as prices are known."""
        return _sum(one.saved_per_month for one in self.classes)

    @property
    def still_billed(self) -> decimal.Decimal | None:
        """What is billed all the same for what is removed early."""
        return _sum(one.still_billed for one in self.classes)

    @property
    def unpriced_bytes(self) -> int:
        """How much goes whose price nobody knows."""
        return sum(one.bytes for one in self.classes if one.saved_per_month is None)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values; money as text."""
        return {
            "currency": self.currency,
            "saved_per_month": _text(self.saved_per_month),
            "still_billed": _text(self.still_billed),
            "unpriced_bytes": self.unpriced_bytes,
            "classes": [one.as_dict() for one in self.classes],
        }


def price_table_from(data: t.Any) -> PriceTable:
    """A table as data: ``currency`` and ``classes``, each with ``gib_month`` and, where it bills so, ``minimum_days``.

    The class ``default`` is for all that has another or none. Raises PriceTableInvalid.
    """
    if not isinstance(data, dict) or set(data) - {"currency", "classes"} or not isinstance(data.get("classes"), dict):
        raise PriceTableInvalid("A table of prices has the keys currency and classes, and nothing else.", hint=_HINT)
    currency = data.get("currency")
    if not isinstance(currency, str) or not currency.strip():
        raise PriceTableInvalid("The table of prices doesn't say in which currency they are.", hint=_HINT)
    return PriceTable(
        currency=currency.strip(), classes={str(name): _price(str(name), one) for name, one in data["classes"].items()}
    )


def plan_costs(plan: RetentionPlan, prices: PriceTable, *, storage_class: str | None = None) -> PlanCosts:
    """What removing what *plan* says saves. *storage_class* is that of objects that don't say one."""
    sums: dict[str, _Sums] = {}

    def add(name: str | None, size: int, stored: datetime.datetime, *, backups: int) -> None:
        found = name or storage_class or ""
        if found not in sums:
            sums[found] = _Sums(prices.price_of(found))
        sums[found].add(size, stored, now=plan.now, backups=backups)

    for decision in plan.decisions:
        if decision.verdict == REMOVED:
            entry = decision.entry
            add(entry.storage_class, entry.stored_bytes, entry.stored or entry.finished, backups=1)
    for stream in plan.streams:
        for hour in stream.entry.hours:
            if hour.key < stream.keep_from:
                add(None, hour.stored_bytes, hour_end(hour.key), backups=0)
    return PlanCosts(currency=prices.currency, classes=tuple(sums[name].result(name) for name in sorted(sums)))


def money_text(amount: decimal.Decimal, currency: str) -> str:
    """To the cent, and what is less as such: ``3.20 USD``, ``less than 0.01 USD``."""
    if decimal.Decimal(0) < amount < decimal.Decimal("0.01"):
        return f"less than 0.01 {currency}"
    return f"{amount.quantize(decimal.Decimal('0.01'))} {currency}"


class _Sums:
    def __init__(self, price: Price) -> None:
        self._price = price
        self._backups = 0
        self._bytes = 0
        self._early = 0
        self._longest = datetime.timedelta()
        self._byte_time = decimal.Decimal(0)  # of what is billed all the same: bytes times microseconds

    def add(self, size: int, stored: datetime.datetime, *, now: datetime.datetime, backups: int) -> None:
        self._backups += backups
        self._bytes += size
        left = stored + _DAY * self._price.minimum_days - now
        if left > datetime.timedelta():
            self._early += 1
            self._longest = max(self._longest, left)
            self._byte_time += size * decimal.Decimal(left // _MICROSECOND)

    def result(self, storage_class: str) -> ClassCosts:
        price = self._price.gib_month
        return ClassCosts(
            storage_class=storage_class,
            backups=self._backups,
            bytes=self._bytes,
            saved_per_month=None if price is None else price * self._bytes / _GIB,
            minimum_days=self._price.minimum_days,
            early=self._early,
            still_billed_days=-(-self._longest // _DAY),
            still_billed=None if price is None else price * self._byte_time / (_MONTH // _MICROSECOND) / _GIB,
        )


def _price(name: str, data: t.Any) -> Price:
    if not isinstance(data, dict) or set(data) - {"gib_month", "minimum_days"} or "gib_month" not in data:
        raise PriceTableInvalid(f"The price of {name} has the keys gib_month and minimum_days.", hint=_HINT)
    amount, days = data["gib_month"], data.get("minimum_days", MINIMUM_DAYS.get(name, 0))
    try:
        # By its text: 0.1 is to be a tenth, and not what a binary fraction makes of it.
        price = decimal.Decimal(str(amount)) if not isinstance(amount, bool) else decimal.Decimal("nan")
    except decimal.InvalidOperation:
        price = decimal.Decimal("nan")
    if not price.is_finite() or price < 0:
        raise PriceTableInvalid(f"The price of {name} is {amount!r}, which is no amount of money.", hint=_HINT)
    if not isinstance(days, int) or isinstance(days, bool) or days < 0:
        raise PriceTableInvalid(f"minimum_days of {name} is {days!r}, which is no number of days.", hint=_HINT)
    return Price(gib_month=price, minimum_days=days)


def _sum(amounts: t.Iterable[decimal.Decimal | None]) -> decimal.Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, decimal.Decimal(0)) if known else None


def _text(amount: decimal.Decimal | None) -> str | None:
    return None if amount is None else str(amount.quantize(decimal.Decimal("0.0001")))
