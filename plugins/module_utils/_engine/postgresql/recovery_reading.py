# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far back a plan looks into the WAL: to the base that it will begin with. Pure."""

from __future__ import annotations

import datetime
import typing as t

from ..catalog.catalog import Backup
from ..recovery.recovery_target import RecoveryTarget
from .names import parse_lsn
from .recovery_bases import usable_bases

_FIRST_TIMELINE = "00000001"


def reads_since(bases: t.Sequence[Backup], target: RecoveryTarget) -> datetime.datetime | None:
    """When the base was begun from which the target will be reached; None: what is older may have a say.

    A transaction and a name are looked for from the first base on. On one timeline all others begin with the last base
    that ended before the target, and a plan that succeeds needs nothing from before that.
    """
    usable = usable_bases(bases).usable
    if target.kind == "time" and target.time is not None:
        moment = target.time
        usable = tuple(base for base in usable if base.finished <= moment)
    elif target.kind == "lsn":
        position = parse_lsn(target.value)
        usable = tuple(base for base in usable if base.end <= position)
    elif target.kind not in ("latest", "immediate"):
        return None
    if not usable:
        return None
    return max(usable, key=lambda base: base.preference).backup.manifest.started


def needs_all(group: str) -> bool:
    """Whether a group of the archive (``wal_names.WalName.group``) tells of more than one timeline.

    Which one a recovery follows, and which numbers are taken, is known only to who knows them all.
    """
    return not group.startswith(_FIRST_TIMELINE)
