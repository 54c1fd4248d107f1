# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving one record, or finding out whether that could be done."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import DnsChangedMeanwhile, DnsError, DnsRecordMissing
from .provider import Provider
from .record import Found, Record


@dataclass(frozen=True)
class Switched:
    """What the record was and what it is now: *before* is the way back. In check mode *after* is what it would be."""

    record: Record
    before: Found | None
    after: Found
    changed: bool
    by: str

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "name": self.record.name[:-1],
            "type": self.record.type,
            "zone": self.record.zone[:-1],
            "by": self.by,
            "before": self.before.as_dict() if self.before else None,
            "after": self.after.as_dict(),
        }


def switch(record: Record, provider: Provider, *, check: bool, create: bool = False) -> Switched:
    """Have *record* say what it is to say. With *check* the right to do so is tried, and nothing is changed.

    Raises DnsRecordMissing when there is none and *create* is not set, and what Provider raises.
    """
    before = provider.look(record)
    if before is None and not create:
        raise DnsRecordMissing(
            f"{record.shown} does not exist at {provider.shown}.",
            hint=f"Is the name right? Run: dig {record.name[:-1]} {record.type}   To have it made: create: true",
        )
    if check:
        provider.try_rights(record, before)
        return _done(record, provider, before, changed=before != record.wanted)
    if before == record.wanted:
        return _done(record, provider, before, changed=False)
    try:
        provider.change(record, before)
    except DnsChangedMeanwhile:
        # An answer that was lost looks the same as somebody who was faster.
        if provider.look(record) != record.wanted:
            raise
    now = provider.look(record)
    if now != record.wanted:
        raise DnsError(
            f"{provider.shown} took the change of {record.shown} and does not have it: "
            f"{', '.join(now.values) if now else 'there is no such record'}.",
            hint="Look whether somebody else changes the zone; then run it again.",
            details={"now": now.as_dict() if now else None},
        )
    return _done(record, provider, before, changed=True)


def _done(record: Record, provider: Provider, before: Found | None, *, changed: bool) -> Switched:
    return Switched(record=record, before=before, after=record.wanted, changed=changed, by=provider.shown)
