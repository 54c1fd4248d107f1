# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of the modules about members of a MongoDB replica set to the engine. Private to the collection."""

from __future__ import annotations

import typing as t

from ._engine.mongodb.connection import MongoConnection
from ._engine.mongodb.fence import MongoFence, fence_member
from ._engine.mongodb.member_state import look_at_member
from ._engine.mongodb.promotion import MongoPromotion, promote_members
from ._engine.mongodb.set_member import WantedMember, have_member
from ._module import as_change

if t.TYPE_CHECKING:
    from ._engine.core.host import Host

Options = t.Mapping[str, t.Any]


def mongo_standby_info(options: Options, *, host: Host) -> dict[str, t.Any]:
    """What one member says of its set."""
    state = look_at_member(_connection(options), member=options.get("member"), host=host)
    return {"changed": False, "state": state.as_dict()}


def promote_region(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    """One of the members becomes the primary."""
    promotion = MongoPromotion(
        members=tuple(options["members"]),
        fenced=tuple(options["fenced"]),
        split_brain_risk=bool(options["split_brain_risk"]),
        timeout=float(options["timeout"]),
    )
    promoted = promote_members(_connection(options), promotion, host=host, check=check)
    for sentence in promoted.warnings:
        host.journal.warning(sentence)
    after = f"primary among {', '.join(promotion.members)} (by {promoted.way})"
    return {
        "changed": promoted.changed,
        "diff": as_change("primary elsewhere, or none", after, changed=promoted.changed),
        "promoted": promoted.as_dict(),
    }


def set_member(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    """A member is what it is to be."""
    wanted = WantedMember(
        host=options["member"],
        priority=float(options["priority"]),
        votes=int(options["votes"]),
        hidden=bool(options["hidden"]),
    )
    changed = have_member(_connection(options), wanted, timeout=float(options["timeout"]), host=host, check=check)
    before = "no member" if changed.before is None else str(dict(changed.before))
    after = str({"priority": wanted.priority, "votes": wanted.votes, "hidden": wanted.hidden})
    return {
        "changed": changed.changed,
        "diff": as_change(before, after, changed=changed.changed),
        "member": changed.as_dict(),
    }


def fence_old_member(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    """A member is stopped for good."""
    request = MongoFence(
        member=options["member"],
        service_control=options.get("service_control") or {},
        timeout=float(options["timeout"]),
    )
    fenced = fence_member(request, host=host, check=check)
    for sentence in fenced.warnings:
        host.journal.warning(sentence)
    return {
        "changed": fenced.changed,
        "diff": as_change("runs", "stopped", changed=fenced.changed),
        "fenced": fenced.as_dict(),
    }


def _connection(options: Options) -> MongoConnection:
    return MongoConnection.from_description(options["connection"])
