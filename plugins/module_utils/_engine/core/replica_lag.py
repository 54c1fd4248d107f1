# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a copy of a database is behind, as every room tells it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReplicaLag:
    """What was found. *follows* is whether it takes what the primary writes at all; *seconds* and *behind_bytes* are
    None when they can't be told, as of a server that does not follow. *retained_bytes* is what the primary keeps for it
    by a slot, *slot_lost* whether what it was to keep is gone; None where it has none.
    """

    follows: bool
    seconds: float | None = None
    behind_bytes: int | None = None
    retained_bytes: int | None = None
    slot_lost: bool | None = None
