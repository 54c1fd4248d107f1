# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the members of a replica set of MongoDB take over in the entered region, and what that may lose. Pure.

While the set has a majority that is an election: nothing is lost that a majority has acknowledged, and nobody has to be
fenced, for the set itself has one primary at most. Without one the set is cut down by force to the members that are
left. Then every other member with a vote is fenced first, and what it has beyond the newest entry there is lost.
"""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import parse_time
from .fencing import COMMAND, HOST, fencing_ways
from .plan import Json
from .promotion_plan import ACCEPT_LOSS, ACCEPT_SPLIT_BRAIN, Accepted
from .region_fate import FOLLOWED, PORTS, Fate, limit_of

ELECTION, FORCE = "election", "force"


def fate_of_set(
    source: Json,
    looked: Json,
    shared: t.Mapping[str, t.Any],
    *,
    region: str,
    accepted: Accepted,
    now: datetime.datetime,
) -> Fate:
    """*looked* has what each described member of the region says of the set, by its name, or why it says nothing."""
    here = [one for one in source["members"] if one["entered"]]
    names = ", ".join(one["name"] for one in here)
    states = {one["name"]: state for one in here if (state := (looked.get("states") or {}).get(one["name"]))}
    if not states:
        problems = looked.get("problems") or {}
        whys = "; ".join(f"{one['name']}: {problems.get(one['name']) or 'it does not answer'}" for one in here)
        return Fate(
            **shared,
            way=FOLLOWED,
            on="",
            told=f"{names} can't be asked",
            refusals=(f"no member in {region} can be asked ({whys})",),
        )
    places = {address: one for one in here if (address := _address_of(one, states.get(one["name"])))}
    # Who knows the newest term knows the newest configuration.
    seen = max(states.values(), key=_term)
    sets = sorted({str(state["set_name"]) for state in states.values()})
    staying = [one for one in seen["members"] if one["host"] in places and one["healthy"]]
    able = [one for one in staying if one["role"] in ("PRIMARY", "SECONDARY") and not one["delayed"]]
    if len(sets) > 1 or not able:
        why = f"they are of several sets: {', '.join(sets)}" if len(sets) > 1 else _unable(seen, places)
        refusal = f"no member in {region} can be primary ({why})"
        return Fate(**shared, way=FOLLOWED, on="", told=f"{names} can't take over", refusals=(refusal,))
    best = max(able, key=_newest)
    chosen = places[best["host"]]
    others = [one for one in seen["members"] if one not in staying]
    by = ELECTION if seen["has_majority"] else FORCE
    old = _old_members(source, [one for one in others if one["votes"]]) if by == FORCE else []
    ways = _ways(source, old)
    return Fate(
        **shared,
        way=FOLLOWED,
        on=str(chosen["host"]),
        told=_told(chosen, others, by=by),
        **_stated(best, by=by, now=now),
        ways=tuple(ways),
        address=_split(best["host"]),
        facts={
            "standby": chosen["name"],
            "set": seen["set_name"],
            "by": by,
            "members": sorted(one["host"] for one in staying),
            "others": sorted(one["host"] for one in others if one["votes"]),
            "fenced": old,
        },
        refusals=(
            *_unfenced(old, ways, accepted=accepted),
            *_beyond(source, chosen, best, by=by, accepted=accepted, now=now),
        ),
    )


def set_objections(facts: Json, ledger: Json, seen: Json, *, source: str) -> t.Iterator[str]:
    """Why a move that was planned with *facts* can't go on with what the members say now."""
    states = [one for one in (seen.get("states") or {}).values() if one]
    if not states:
        yield f"none of {', '.join(facts['members'])} answers"
        return
    state = max(states, key=_term)
    there = {one["host"] for one in state["members"]}
    gone = [one for one in facts["members"] if one not in there]
    if state["set_name"] != facts["set"]:
        yield f"they belong to the set {state['set_name']} now, and it was {facts['set']}"
    elif gone:
        yield f"{', '.join(gone)} left the set since"
    elif f"promote-{source}" in ledger["finished"]:
        if state["primary"] not in facts["members"]:
            yield f"{state['primary'] or 'nobody'} is primary, and {facts['standby']} was promoted"
    elif facts["by"] == ELECTION and not state["has_majority"]:
        yield "the set had a majority when it was planned, and has none any more: others have to be fenced now"


def set_loss(promoted: Json, cut: Json) -> dict[str, t.Any]:
    """What was lost, as far as anybody knows: the newest entry there against those of the members that were fenced."""
    if promoted.get("way") != FORCE:
        return {"seconds": 0.0, "statement": "nothing that a majority had acknowledged is lost"}
    newest, ends = promoted.get("newest"), (cut.get("fenced") or {}).get("ends") or {}
    lost = [one for one in promoted.get("removed") or () if not (ends.get(one) or {}).get("newest")]
    known = [one["newest"] for one in ends.values() if one.get("newest")]
    if newest is None or not known:
        return {"seconds": None, "statement": f"what the lost members had written after {newest} is lost"}
    last = max(known, key=parse_time)
    seconds = max(0.0, (parse_time(last) - parse_time(newest)).total_seconds())
    beyond = f"what was written after {newest} is lost, up to {last}" if seconds else f"nothing is lost up to {last}"
    if lost:
        return {"seconds": None, "statement": f"{beyond}; nobody knows what {', '.join(lost)} had"}
    return {"seconds": round(seconds, 3), "statement": f"{beyond}, where the newest of the old members ended"}


def _told(chosen: Json, others: t.Sequence[Json], *, by: str) -> str:
    where = f"{chosen['name']} on {chosen['host']}"
    if by == ELECTION:
        told = f"its set has a majority: the primary hands over to {where}, and nothing acknowledged is lost"
        voting = [one["host"] for one in others if one["votes"]]
        return f"{told}; {', '.join(voting)} keep their votes, so move again when they are gone" if voting else told
    gone = ", ".join(one["host"] for one in others)
    return f"its set has no majority: it is cut down to {where}, and {gone} leave it; what did not arrive there is lost"


def _stated(best: Json, *, by: str, now: datetime.datetime) -> dict[str, t.Any]:
    if by == ELECTION:
        return {"statement": "nothing that a majority has acknowledged is lost", "loss_seconds": 0.0}
    statement = (
        f"its newest entry there is of {best['newest']} (optime {best['optime']}); what was written since is lost"
    )
    return {"statement": statement, "loss_seconds": _age(best, now)}


def _beyond(
    source: Json, chosen: Json, best: Json, *, by: str, accepted: Accepted, now: datetime.datetime
) -> t.Iterator[str]:
    limit, age = limit_of(source, chosen), _age(best, now)
    if by == FORCE and limit is not None and not accepted.data_loss and (age is None or age > limit):
        yield (
            f"the newest entry of {chosen['name']} is of {best['newest']}, and at most {limit:.0f} s may be lost "
            f"({ACCEPT_LOSS}: lose what was written since)"
        )


def _old_members(source: Json, voting: t.Sequence[Json]) -> list[dict[str, t.Any]]:
    """Each member that could elect a primary of its own, with the host of the inventory that it runs on, if known.

    One member that no standby is described for is the server of the source itself.
    """
    described = {one["member"]: one for one in source["members"] if one.get("member") and not one["entered"]}
    unclaimed = [one["host"] for one in voting if one["host"] not in described]
    own = {"host": source["host"], "service_control": source["service_control"]}
    found = []
    for one in voting:
        place = described.get(one["host"]) or (own if unclaimed == [one["host"]] else {})
        control = place.get("service_control") or source["service_control"]
        stoppable = bool(control.get("unit") or control.get("stop_command"))
        host = place.get("host") if stoppable else None
        found.append({"member": one["host"], "host": host or "", "service_control": dict(control) if host else {}})
    return found


def _ways(source: Json, old: t.Sequence[Json]) -> list[dict[str, t.Any]]:
    return fencing_ways(source["fencing"], on_host=any(one["host"] for one in old)) if old else []


def _unfenced(old: t.Sequence[Json], ways: t.Sequence[Json], *, accepted: Accepted) -> t.Iterator[str]:
    kinds = {one["way"] for one in ways}
    loose = [one["member"] for one in old if COMMAND not in kinds and not (one["host"] and HOST in kinds)]
    if loose and not accepted.split_brain_risk:
        yield (
            f"{', '.join(loose)} may elect a primary, and nothing says how they are fenced: describe each as a standby "
            f"with member, inventory_host and service_control, or fencing.command ({ACCEPT_SPLIT_BRAIN}: go on beside "
            "members that may still take writes)"
        )


def _unable(seen: Json, places: t.Mapping[str, Json]) -> str:
    known = {one["host"]: one for one in seen["members"]}
    whys = []
    for address, place in places.items():
        one = known.get(address)
        why = (
            "is no member"
            if one is None
            else f"is {one['role'] or 'silent'}{' with a delay' if one['delayed'] else ''}"
        )
        whys.append(f"{place['name']} ({address}) {why} of {seen['set_name']}")
    return "; ".join(whys)


def _address_of(place: Json, state: Json | None) -> str:
    return str(place.get("member") or (state or {}).get("me") or "")


def _split(address: str) -> dict[str, t.Any]:
    host, _colon, port = address.rpartition(":")
    return {"host": host.strip("[]"), "port": int(port or PORTS["mongodb"])}


def _age(member: Json, now: datetime.datetime) -> float | None:
    if not member["newest"]:
        return None
    return max(0.0, (now - parse_time(member["newest"])).total_seconds())


def _term(state: Json) -> int:
    return int(state["term"])


def _newest(member: Json) -> tuple[str, str]:
    return (str(member["newest"] or ""), str(member["host"]))
