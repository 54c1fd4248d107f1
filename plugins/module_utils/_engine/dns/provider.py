# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a place must offer where records are kept and changed."""

from __future__ import annotations

import typing as t

from .record import Found, Record


class Provider(t.Protocol):
    """A place that serves a zone. Every method raises DnsUnreachable, DnsRefused and DnsKeyRefused."""

    @property
    def shown(self) -> str:
        """For people."""

    def look(self, record: Record) -> Found | None:
        """What the record says there now; None when there is none.

        Raises DnsOtherType, and DnsRecordRouted for one that is more than a list of values.
        """

    def try_rights(self, record: Record, found: Found | None) -> None:
        """Have the change of the record judged without changing anything."""

    def change(self, record: Record, found: Found | None) -> None:
        """Make the record what it is to be; all of it or nothing.

        Where the place knows conditions, raises DnsChangedMeanwhile when it is not *found* any more.
        """
