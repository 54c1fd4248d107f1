# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by the modules that recover to a point in time. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    """One fragment."""

    DOCUMENTATION = r"""
options:
  recover_to:
    description:
      - Recover to a point in time instead of to the end of a backup. The base is chosen by itself, and everything that
        the stream (WAL, oplog, append-only file) holds from its end to the point is replayed.
      - Exactly one of the points is given. What can't be reached is refused before anything is touched, and the nearest
        points that can be are named.
      - It takes the place of O(id), O(before), O(point) and of a kind.
    type: dict
    suboptions:
      time:
        description:
          - A moment, RFC 3339 with a zone (V(2026-11-21T14:03:00Z)), or local with the name of its zone
            (V(2026-11-21 15:03:00 Europe/Berlin)).
        type: str
      lsn:
        description: A position in the WAL of PostgreSQL, for example V(0/3000148).
        type: str
      xid:
        description: A transaction of PostgreSQL, by its number.
        type: str
      name:
        description: A point that C(pg_create_restore_point) has named (PostgreSQL).
        type: str
      optime:
        description: A position in the oplog of MongoDB, V(seconds:ordinal).
        type: str
      before_operation:
        description: Everything before that operation of MongoDB, V(seconds:ordinal); C(lifeboat find-damage) names it.
        type: str
      latest:
        description: The end of what is stored.
        type: bool
      immediate:
        description: As soon as the base is consistent (PostgreSQL).
        type: bool
      inclusive:
        description: Whether what happened exactly at the point is in; it is unless V(false).
        type: bool
      timeline:
        description: A timeline of PostgreSQL by its number; the one that holds the point when left out.
        type: str
      action:
        description: What becomes of a recovered PostgreSQL; V(promote), which lets it take writes, when left out.
        type: str
        choices: [promote, pause, shutdown]
      skip:
        description: Positions of operations of MongoDB that are left out; what depended on them is reported.
        type: list
        elements: str
"""
