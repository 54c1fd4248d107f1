# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup is worth, from its verifications alone. Pure.

The rules: a failure at a level is lifted only by a later pass at that level or above. A copy whose bytes are not those
of the manifest (levels 0 and 1) is bad alone; bytes that are right but do not restore, or answer wrongly, are bad
everywhere.
*verified* means restored at least (level 3): promise 2 of the design.
"""

from __future__ import annotations

import typing as t

from ..core.levels import INTACT, RESTORED
from .verification import Verification, in_order

COMPLETE, VERIFIED, FAILED = "complete", "verified", "failed"
#: From worst to best.
ORDER = (FAILED, COMPLETE, VERIFIED)


def copy_states(
    repositories: t.Iterable[str], verifications: t.Iterable[Verification], *, manifest_checksum: str
) -> dict[str, str]:
    """The state of each repository's copy; verifications of another manifest than this count for nothing."""
    ordered = sorted(
        (one for one in verifications if one.manifest_checksum == manifest_checksum),
        key=in_order,
    )
    content_failed_at: int | None = None  # the level that the content failed at and that no later pass has lifted
    content_reached = -1
    reached: dict[str, int] = {}
    failed_at: dict[str, int] = {}
    for one in ordered:
        for name, copy in one.copies.items():
            if name in failed_at and copy.reached >= failed_at[name]:
                del failed_at[name]
            if copy.error is not None and copy.reached < INTACT:
                failed_at[name] = copy.reached + 1
                reached[name] = copy.reached
            else:
                reached[name] = max(reached.get(name, -1), copy.reached)
        if content_failed_at is not None and one.reached >= content_failed_at:
            content_failed_at = None
        content_reached = max(content_reached, one.reached)
        if one.error is not None and one.reached >= INTACT:
            content_failed_at = one.reached + 1
    states = {}
    for name in repositories:
        if name in failed_at or content_failed_at is not None:
            states[name] = FAILED
        elif content_reached >= RESTORED and reached.get(name, -1) >= INTACT:
            states[name] = VERIFIED
        else:
            states[name] = COMPLETE
    return states


def best(states: t.Iterable[str]) -> str:
    """The best state that there is anywhere."""
    return max(states, key=ORDER.index, default=COMPLETE)
