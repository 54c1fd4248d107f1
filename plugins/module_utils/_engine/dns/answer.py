# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What servers say of a record, and whether they agree. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import DnsOtherType
from .record import Record
from .servers import AUTHORITATIVE, Server


@dataclass(frozen=True)
class Answer:
    """What one server says. *values* is None when it gave no answer, and empty when it knows no such record.

    *problem* says why it gave none. *other_type* is the type that the name has instead. *ttl* is what is left of the
    time for which the answer is remembered.
    """

    server: Server
    values: tuple[str, ...] | None
    ttl: int | None = None
    problem: str = ""
    other_type: str = ""

    @property
    def is_silent(self) -> bool:
        """Whether it says nothing: clients hear nothing either, and ask another."""
        return self.values is None

    def agrees(self, record: Record) -> bool:
        """Whether it says what *record* is to be. How long it is remembered does not matter."""
        return self.values == record.wanted.values and not self.other_type

    def said(self, record: Record) -> str:
        """For people, in a few words."""
        if self.values is None:
            return self.problem or "no answer"
        if self.other_type:
            return f"a record of type {self.other_type}"
        if not self.values:
            return "no such record"
        left = f", remembered for {self.ttl} s" if self.ttl is not None and not self.agrees(record) else ""
        return ", ".join(self.values) + left


@dataclass(frozen=True)
class Asked:
    """One server over all rounds: its last answer, and after how many seconds it began to agree (None: never)."""

    answer: Answer
    agreed_after: float | None

    def as_dict(self, record: Record) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "server": self.answer.server.name,
            "role": self.answer.server.role,
            "answer": None if self.answer.values is None else list(self.answer.values),
            "ttl": self.answer.ttl,
            "agrees": self.answer.agrees(record),
            "agreed_after": self.agreed_after,
            "said": self.answer.said(record),
        }


@dataclass(frozen=True)
class Agreement:
    """What all servers said at the end, and how long that took."""

    record: Record
    asked: tuple[Asked, ...]
    seconds: float
    rounds: int

    @property
    def agreed(self) -> bool:
        """Whether all say the same."""
        return all(one.answer.agrees(self.record) for one in self.asked)

    @property
    def settled(self) -> bool:
        """Whether nobody says anything else, and one that knows the zone agrees; some may say nothing."""
        return self.proven and not any(not one.is_silent for one in self.dissenting)

    @property
    def proven(self) -> bool:
        """Whether the servers that know the zone and answer all agree, and there is one. Resolvers may lag."""
        known = [one.answer for one in self.asked if one.answer.server.role == AUTHORITATIVE]
        answering = [one for one in known if not one.is_silent]
        return bool(answering) and all(one.agrees(self.record) for one in answering)

    @property
    def dissenting(self) -> tuple[Answer, ...]:
        """Those that don't agree, for whatever reason."""
        return tuple(one.answer for one in self.asked if not one.answer.agrees(self.record))

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "agreed": self.agreed,
            "proven": self.proven,
            "name": self.record.name[:-1],
            "type": self.record.type,
            "wanted": list(self.record.wanted.values),
            "seconds": round(self.seconds, 3),
            "rounds": self.rounds,
            "answers": [one.as_dict(self.record) for one in self.asked],
            "lagging": [f"{one.server.name} says {one.said(self.record)}" for one in self.dissenting],
        }


def require_type(answers: t.Iterable[Answer], record: Record) -> None:
    """Raises DnsOtherType when a server that knows the zone has the name with another type: waiting changes nothing."""
    for answer in answers:
        if answer.other_type and answer.server.role == AUTHORITATIVE:
            raise DnsOtherType(
                f"{record.name[:-1]} is of type {answer.other_type} at {answer.server.name}, and the description says "
                f"{record.type}.",
                hint=f"Describe it as it is, or remove the {answer.other_type} by hand; both can't be.",
                details={"server": answer.server.name, "type": answer.other_type},
            )
