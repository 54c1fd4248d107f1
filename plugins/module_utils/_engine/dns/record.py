# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A name that clients follow, and where it points: in one form, so that two can be compared."""

from __future__ import annotations

import ipaddress
import typing as t
from dataclasses import dataclass

from ..core.errors import RequestInvalid

A, AAAA, CNAME = "A", "AAAA", "CNAME"
TYPES = (A, AAAA, CNAME)
_VERSIONS = {A: 4, AAAA: 6}


@dataclass(frozen=True)
class Found:
    """What a record says: its values in order and form of this file, and for how many seconds they are remembered."""

    values: tuple[str, ...]
    ttl: int

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {"values": list(self.values), "ttl": self.ttl}


@dataclass(frozen=True)
class Record:
    """A record as it is to be. *name* and *zone* are full names with the dot at their end, in small letters."""

    name: str
    type: str
    zone: str
    wanted: Found

    @property
    def shown(self) -> str:
        """For people."""
        return f"{self.name[:-1]} {self.type}"

    @property
    def other_types(self) -> tuple[str, ...]:
        """The types that can't stand beside it: a CNAME is alone, and nothing stands beside one."""
        return (A, AAAA) if self.type == CNAME else (CNAME,)


def record_of(*, name: str, type: str, zone: str, values: t.Sequence[str], ttl: int) -> Record:  # noqa: A002
    """The record of these words. Raises RequestInvalid for what can't be one."""
    full, place = full_name(name), full_name(zone)
    if not within(full, place):
        raise RequestInvalid(f"{name} is not in the zone {zone}.", hint="Name the zone that the name ends with.")
    if type not in TYPES:
        raise RequestInvalid(f"{type} is no type of a record that is moved.", hint=f"There are: {', '.join(TYPES)}.")
    if type == CNAME and full == place:
        raise RequestInvalid(
            f"{name} is the zone itself, which can't be a CNAME.", hint="Describe an A record, or a name in the zone."
        )
    if not values or (type == CNAME and len(values) != 1):
        raise RequestInvalid(
            f"{name} {type} has {len(values)} values.", hint="A CNAME has one value, the others have at least one."
        )
    return Record(name=full, type=type, zone=place, wanted=Found(values=in_order(type, values), ttl=int(ttl)))


def in_order(type: str, values: t.Iterable[str]) -> tuple[str, ...]:  # noqa: A002
    """*values* of a record in the one form that there is of them. Raises RequestInvalid."""
    return tuple(sorted({canonical(type, value) for value in values}))


def canonical(type: str, value: str) -> str:  # noqa: A002
    """One value. Raises RequestInvalid for what is no value of *type*."""
    version = _VERSIONS.get(type)
    if version is None:
        return full_name(value)
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        address = None
    if address is None or address.version != version:
        raise RequestInvalid(
            f"{value} is no address of a record of type {type}.",
            hint="A has addresses of IPv4, AAAA of IPv6, CNAME one name.",
        )
    return str(address)


def full_name(name: str) -> str:
    """*name* in small letters, with the dot at its end. Raises RequestInvalid for what is no name."""
    bare = name.strip().lower().removesuffix(".")
    try:
        plain = bare if bare.isascii() else bare.encode("idna").decode("ascii")
    except UnicodeError:
        plain = ""
    labels = plain.split(".")
    if not plain or len(plain) > 253 or any(not _is_label(label) for label in labels):
        raise RequestInvalid(f"{name[:80]!r} is no name of the DNS.", hint="Write it as api.example.org.")
    return plain + "."


def within(name: str, zone: str) -> bool:
    """Whether the full name is in the zone, or is the zone."""
    return name == zone or name.endswith("." + zone)


def _is_label(label: str) -> bool:
    # An asterisk and underscores stand in names that nobody would call a host.
    return 0 < len(label) <= 63 and all(each.isalnum() or each in "-_*" for each in label)
