# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of one source when its service leaves its region, and what all ways there ask of it. Pure."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ..core.clock import format_time
from ..core.description.duration import parse_duration
from ..core.description.spare_copies import lacks_of_copy
from .fencing import fencing_ways
from .plan import FailoverPlan, Json
from .promotion_plan import ACCEPT_SPLIT_BRAIN, Accepted

#: What becomes of a source.
PROMOTED, FOLLOWED, RESTORED, LEFT = "promote", "promote-elsewhere", "restore", "leave"
PORTS: t.Mapping[str, int] = {"postgresql": 5432, "redis": 6379, "mongodb": 27017}


@dataclass(frozen=True)
class Fate:
    """What becomes of one source. *loss_seconds* is the most that can be lost, None when nobody knows.

    *promotion* is its own plan where a standby of PostgreSQL is promoted. *facts* belong to the hash of the plan.
    *warnings* stop nobody.
    """

    source: str
    engine: str
    way: str
    on: str
    told: str
    statement: str = ""
    loss_seconds: float | None = 0.0
    loss_bytes: int | None = None
    ways: tuple[Json, ...] = ()
    promotion: FailoverPlan | None = None
    address: Json | None = None
    facts: Json = field(default_factory=dict)
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def stated(self) -> dict[str, t.Any]:
        """What is said of the loss, as JSON values; whole seconds, so that they survive templates."""
        seconds = None if self.loss_seconds is None else int(-(-self.loss_seconds // 1))
        return {"loss_seconds": seconds, "loss_bytes": self.loss_bytes, "statement": self.statement}


def limit_of(source: Json, standby: Json) -> float | None:
    """How many seconds may be lost at most with that *standby*; None when nothing is said."""
    given = [standby.get("max_lag"), source["objectives"].get("rpo")]
    limits = [parse_duration(str(one)).total_seconds() for one in given if one]
    return min(limits) if limits else None


def ways_of(source: Json) -> list[dict[str, t.Any]]:
    """How its old server is fenced: on its host where it is known how it is stopped there."""
    control = source["service_control"]
    return fencing_ways(source["fencing"], on_host=bool(control.get("unit") or control.get("stop_command")))


def unfenced(ways: t.Sequence[Json], *, accepted: Accepted) -> t.Iterator[str]:
    """The refusal of a source that nothing says how to fence."""
    if not ways and not accepted.split_brain_risk:
        yield (
            "nothing says how its old server is fenced: describe fencing.command or service_control of the source "
            f"({ACCEPT_SPLIT_BRAIN}: go on beside a server that may still take writes)"
        )


def address_of(source: Json, place: Json) -> dict[str, t.Any] | None:
    """Where applications are pointed to."""
    if source["engine"] not in PORTS:
        return None
    connection = place["connection"]
    host = connection.get("host") or place["host"]
    return {"host": host, "port": int(connection.get("port") or PORTS[source["engine"]])}


def copy_warnings(source: Json) -> tuple[str, ...]:
    """What its spare will lack where it is restored as a copy beside its source."""
    spare = source["spare"]
    return tuple(str(one) for one in lacks_of_copy(str(source["engine"]), spare, host=str(spare["host"])))


def restored_until(plan: Json) -> str:
    """The moment that the restored data are of: the newest that is replayed, else when the backup was begun."""
    facts = (plan.get("recovery") or {}).get("facts") or {}
    if facts.get("until"):
        return str(facts["until"])
    if facts.get("complete_through"):
        second = datetime.datetime.fromtimestamp(int(facts["complete_through"]), tz=datetime.timezone.utc)
        return format_time(second)
    return str(plan["backup"]["started"])
