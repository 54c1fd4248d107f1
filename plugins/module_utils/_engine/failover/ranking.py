# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which standby of PostgreSQL has the most, and what is lost with each of them. Pure: from states and a time.

What is said of a loss is a bound that holds, never a hope: where the primary can't be asked, nobody knows how many
bytes it had written, and the last commit that arrived may be as old as the loss is long, or as the night was quiet.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import parse_time
from ..postgresql.names import parse_lsn

Json = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Ranked:
    """One standby that could be promoted. *received* is the position up to which it has WAL.

    *compared* is that which it is compared with others by: of a primary that answers, what it has written since it was
    asked counts for nobody, for who is asked later has more of it.

    *loss_bytes* and *loss_seconds* are the most that can be lost, None when nobody knows; *statement* says why.
    """

    name: str
    timeline: int
    received: int
    compared: int
    loss_bytes: int | None
    loss_seconds: float | None
    statement: str

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values; whole seconds, so that they stay the same on their way through templates."""
        return {
            "name": self.name,
            "timeline": self.timeline,
            "received": self.received,
            "loss_bytes": self.loss_bytes,
            "loss_seconds": None if self.loss_seconds is None else int(-(-self.loss_seconds // 1)),
            "statement": self.statement,
        }


@dataclass(frozen=True)
class Ranking:
    """The best first, and why the others are none."""

    candidates: tuple[Ranked, ...]
    refused: t.Mapping[str, str]

    def of(self, name: str) -> Ranked | None:
        """The candidate of that name."""
        return next((one for one in self.candidates if one.name == name), None)


def rank(
    states: t.Mapping[str, Json | None],
    *,
    problems: t.Mapping[str, str],
    primary: Json | None,
    now: datetime.datetime,
) -> Ranking:
    """Standbys in order: the highest timeline, then the most WAL, then as they are described.

    *states* are those that ``pg_standby_info`` told, None for one that did not answer (*problems* says why). *primary*
    is the old primary's, when it answers.
    """
    identifiers = {str(one["system_identifier"]) for one in (primary, *states.values()) if one}
    owner = str(primary["system_identifier"]) if primary else _most_common(states)
    living = None if primary is None or primary["in_recovery"] else primary
    found: list[Ranked] = []
    refused: dict[str, str] = {}
    for name, state in states.items():
        why = _refusal(state, owner=owner, problem=problems.get(name, "it does not answer"))
        if why is None and state is not None:
            found.append(_ranked(name, state, primary=living, now=now))
        else:
            refused[name] = why or ""
    if len(identifiers) > 1 and primary is None and _is_tied(states):
        refused.update({one.name: "the standbys are of different clusters, and nobody says whose" for one in found})
        found = []
    found.sort(key=lambda one: (-one.timeline, -one.compared))
    return Ranking(candidates=tuple(found), refused=refused)


def received_of(state: Json) -> int:
    """The position up to which a standby has WAL, replayed or not; of a primary, up to which it has written it."""
    positions = [state.get(key) for key in ("received", "replayed", "written")]
    return max((parse_lsn(str(one)) for one in positions if one), default=0)


def _refusal(state: Json | None, *, owner: str, problem: str) -> str | None:
    if state is None:
        return problem
    if str(state["system_identifier"]) != owner:
        return f"it belongs to another cluster (system identifier {state['system_identifier']}, not {owner})"
    if not state["in_recovery"]:
        return f"it is a primary already, on timeline {state['timeline']}"
    return None


def _ranked(name: str, state: Json, *, primary: Json | None, now: datetime.datetime) -> Ranked:
    received = received_of(state)
    since_commit = _seconds_since(state.get("last_commit"), now)
    if primary is not None:
        behind = max(0, received_of(primary) - received)
        loss: tuple[int | None, float | None] = (behind, _lag(state, received, now=now) if behind else 0.0)
        statement = (
            f"the primary answers and is {behind} bytes ahead; stopped in good order, it sends what is missing to a "
            "standby that is connected"
        )
    elif state.get("receiving"):
        behind = max(0, parse_lsn(str(state.get("primary_end") or "0/0")) - received)
        loss = (behind, since_commit if behind else _seconds_since(state.get("last_message"), now))
        statement = "the standby still hears from its primary, which does not answer us: it may be alive"
    else:
        loss = (None, since_commit)
        statement = (
            "the primary is not heard of; whatever it committed after the last commit that arrived is lost, and a "
            "quiet hour looks the same as a lost one"
        )
    return Ranked(
        name=name,
        timeline=int(state["timeline"]),
        received=received,
        compared=received if primary is None else min(received, received_of(primary)),
        loss_bytes=loss[0],
        loss_seconds=loss[1],
        statement=statement,
    )


def _lag(state: Json, received: int, *, now: datetime.datetime) -> float | None:
    """How far a standby of a living primary was behind when it was asked.

    What was written while others were asked is on its way, and what that took is no lag. For how long the standby had
    heard nothing is: it does not know what was written then.
    """
    if not state.get("receiving") or not state.get("last_message"):
        return _seconds_since(state.get("last_commit"), now)
    asked = parse_time(str(state.get("asked") or state["last_message"]))
    if parse_lsn(str(state.get("primary_end") or "0/0")) <= received:
        return _seconds_since(state["last_message"], asked)
    return _seconds_since(state.get("last_commit"), asked)


def _seconds_since(text: t.Any, now: datetime.datetime) -> float | None:
    return None if not text else max(0.0, (now - parse_time(str(text))).total_seconds())


def _counts(states: t.Mapping[str, Json | None]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for state in states.values():
        if state is not None:
            identifier = str(state["system_identifier"])
            counts[identifier] = counts.get(identifier, 0) + 1
    return counts


def _most_common(states: t.Mapping[str, Json | None]) -> str:
    counts = _counts(states)
    return max(counts, key=lambda one: counts[one]) if counts else ""


def _is_tied(states: t.Mapping[str, Json | None]) -> bool:
    counts = sorted(_counts(states).values(), reverse=True)
    return len(counts) > 1 and counts[0] == counts[1]
