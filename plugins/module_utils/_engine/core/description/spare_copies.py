# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a spare lacks that is restored as a copy beside its source (``in_place: false``) and is to be in charge. Pure.

Such a copy is made so that it disturbs nobody: it archives nothing, and hears nobody outside of its host.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

Json = t.Mapping[str, t.Any]

ARCHIVES_NOTHING, NOT_REACHED = "archives_nothing", "not_reached"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class CopyLack:
    """*code* is one of the two; *what* is lacking, *fix* what to do about it: sentences without an end."""

    code: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.what}. {self.fix}"


def lacks_of_copy(engine: str, spare: Json, *, host: str) -> tuple[CopyLack, ...]:
    """Of the *spare* on *host*; nothing for one that is restored in place, or into a server that runs already."""
    options: Json = spare.get("options") or {}
    if options.get("in_place", True) or engine not in ("postgresql", "redis") or "data_directory" not in options:
        return ()
    place = f"{spare['name']} on {host}"
    found = []
    if engine == "postgresql":
        found.append(
            CopyLack(
                ARCHIVES_NOTHING,
                f"{place} is restored as a copy beside its source (in_place: false), and archives nothing: what is "
                "written there can't be recovered",
                "Afterwards: ALTER SYSTEM SET archive_mode = on; a restart, archive_command, and a base backup; or "
                "have it restored in place",
            )
        )
    listens = str(options.get("listen_addresses") or "") if engine == "postgresql" else _LOOPBACK[0]
    heard = [one for one in (word.strip() for word in listens.split(",")) if one]
    address = str((spare.get("connection") or {}).get("host") or host)
    if not set(heard) - set(_LOOPBACK) and not (heard and address in _LOOPBACK):
        found.append(
            CopyLack(
                NOT_REACHED,
                f"{place} is restored as a copy beside its source (in_place: false), and "
                f"{'listens on ' + ', '.join(heard) + ' alone' if heard else 'listens on no address'}: applications "
                f"that are pointed to {address} don't reach it",
                "Set options.listen_addresses of the spare, and look at its pg_hba.conf; or have it restored in place"
                if engine == "postgresql"
                else "Have it restored in place",
            )
        )
    return tuple(found)
