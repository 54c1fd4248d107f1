# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would hurt if the region were lost now, of the way there: ledger, fencing, DNS, approvals, exercises. Pure."""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import format_time, parse_time
from ..core.description.duration import parse_duration
from .findings import AREAS, CRITICAL, HIGH, LOW, MEDIUM, POINTS, Finding

Json = t.Mapping[str, t.Any]
_OLD, _VERY_OLD = datetime.timedelta(days=100), datetime.timedelta(days=370)


def way_findings(facts: Json, *, now: datetime.datetime) -> t.Iterator[Finding]:
    """Of the service."""
    yield from _ledger(facts)
    for source in facts["sources"]:
        if source["engine"] == "postgresql" and source["standbys"]:
            yield from _fencing(source, facts)
        yield from _leases(source, facts)
    yield from _dns(facts)
    yield from _rights(facts)
    yield from _approvals(facts)
    yield from _exercises(facts, now=now)
    yield from _given(facts)


def _ledger(facts: Json) -> t.Iterator[Finding]:
    looked = facts["ledger"]
    for one in looked:
        if not one["writable"]:
            yield Finding(
                "ledger.unwritable",
                "ledger",
                HIGH if any(other["writable"] for other in looked) else CRITICAL,
                f"{one['repository']} from {one['host']}",
                f"It can't be written: {one['problem']}",
                "A failover's steps can't be recorded there, and without any record none is taken.",
                f"On {one['host']}: lifeboat repo check --repository {one['repository']}; look at its credentials",
            )
    names = {one["repository"] for one in looked if one["writable"]}
    if looked and len(names) < 2:
        yield Finding(
            "ledger.one",
            "ledger",
            MEDIUM,
            str(facts["service"]),
            "The ledger can be kept in one repository only." if names else "The ledger can be kept nowhere.",
            "When it is lost with the region, nobody knows how far a failover was.",
            "Add a repository in another region to a backup of the source.",
        )
    run = facts.get("open_run")
    if run:
        yield Finding(
            "ledger.open_run",
            "ledger",
            HIGH,
            str(run["run"]),
            f"{run['operator']} has a failover open since {run['since']}.",
            "Nobody else can begin one.",
            f"Ask them, then: -e lifeboat_resume={run['run']}, with -e lifeboat_abandon=true to close it",
        )


def _fencing(source: Json, facts: Json) -> t.Iterator[Finding]:
    about = f"{facts['service']}/{source['name']}"
    fencing = source.get("fencing") or {}
    command, methods = fencing.get("command"), fencing.get("methods") or ()
    from_outside = bool(command) or any(one.get("command") or one.get("witness") for one in methods)
    if not fencing.get("data_directory") and not from_outside:
        yield Finding(
            "fencing.none",
            "fencing",
            CRITICAL,
            about,
            "Nothing says how the old primary is kept from writing.",
            "A promotion is refused, or ends in two primaries.",
            "Describe fencing: data_directory, command or both (docs/description.md).",
        )
    elif not from_outside:
        yield Finding(
            "fencing.host_only",
            "fencing",
            HIGH,
            about,
            "It can be fenced on its own host only.",
            "When its region does not answer, nothing proves that it takes no writes, and the promotion stops.",
            "Describe fencing: command, one that cuts it off from outside (hypervisor, cloud, switch), or a witness.",
        )
    if command and not fencing.get("executable"):
        yield Finding(
            "fencing.command",
            "fencing",
            CRITICAL if not fencing.get("data_directory") else HIGH,
            about,
            f"The command can't be run on the controller: {fencing.get('problem') or command}.",
            "It would fail on the day.",
            f"On the controller: command -v {str(command).split(maxsplit=1)[0]}",
        )


def _leases(source: Json, facts: Json) -> t.Iterator[Finding]:
    """Of a witness: that the primary renews its lease there, else it proves nothing on the day."""
    for lease in source.get("leases") or ():
        age = lease["age_seconds"]
        if lease["problem"]:
            what = f"{lease['repository']} does not say whether the lease is renewed: {lease['problem']}"
        elif lease["state"] is None:
            what = f"Nothing on {lease['host']} has ever renewed the lease in {lease['repository']}."
        elif lease["state"] != "held":
            what = f"{lease['host']} gave the lease in {lease['repository']} back ({lease['state']})."
        elif age > lease["lease"]:
            what = f"The lease in {lease['repository']} was renewed {age} s ago, and lasts {lease['lease']} s."
        else:
            continue
        label = f"{facts['service']}/{source['name']}"
        yield Finding(
            "fencing.witness",
            "fencing",
            HIGH,
            label,
            what,
            "The witness proves nothing then; when no other way is proved, the failover stops.",
            f"On {lease['host']}: systemctl status lifeboat-lease.{label.replace('/', '.')} (by the role standby)",
        )


def _dns(facts: Json) -> t.Iterator[Finding]:
    limit = _seconds(facts["objectives"].get("rto"))
    standby = facts["regions"]["standby"]
    for record in facts["dns"]:
        about = f"{record['name']} {record['type']}"

        def finding(code: str, severity: str, what: str, why: str, fix: str, *, about: str = about) -> Finding:
            return Finding(f"dns.{code}", "dns", severity, about, what, why, fix)

        values: Json = record.get("values") or {}
        if standby and not any(values.get(region) for region in standby):
            why = "Nobody knows where the name is to point to."
            yield finding(
                "no_values", HIGH, "Nothing is described for the other region.", why, "Add values of it to dns."
            )
        if record.get("provider") in (None, "manual"):
            why = "Somebody has to do it by hand, at night."
            fix = "Describe provider: route53 or rfc2136, and the zone."
            yield finding("by_hand", LOW, "Nobody switches it by itself.", why, fix)
        if not record.get("answers"):
            what = f"It is not answered: {record.get('problem') or 'nobody asked'}."
            yield finding("silent", HIGH, what, "Clients don't find the service now.", f"dig {record['name']}")
            continue
        expected = [one for region in facts["regions"]["primary"] for one in values.get(region) or ()]
        if expected and sorted(record["answers"]) != sorted(expected):
            what = f"It answers {', '.join(record['answers'])}, and {', '.join(expected)} is described."
            why = "The description is not what is so; the way back would set the wrong one."
            yield finding("other_answer", MEDIUM, what, why, "Mend dns: values, or the record.")
        found = record.get("ttl_found")
        described = record.get("ttl")
        if found is not None and limit is not None and found >= limit:
            what = f"Its TTL is {found} s, and all must be back in {limit:.0f} s."
            why = "Clients go on asking the lost region for longer than the objective allows."
            yield finding("ttl", CRITICAL, what, why, f"Lower the TTL of {record['name']} to {described or 60} s now.")
        elif found is not None and described is not None and found > described:
            what = f"Its TTL is {found} s, and {described} s are described."
            why = "Clients go to the lost region for longer than was thought."
            yield finding("ttl", HIGH, what, why, f"Lower the TTL of {record['name']} to {described} s.")
    if not facts["dns"]:
        yield Finding(
            "dns.none",
            "dns",
            LOW,
            str(facts["service"]),
            "No name is described.",
            "Clients must be told by hand where the service is.",
            "Describe dns, when clients find it by a name.",
        )


def _rights(facts: Json) -> t.Iterator[Finding]:
    """Of names: whether they could be changed from where a failover changes them."""
    for tried in facts.get("names_tried") or ():
        if tried["refused"]:
            yield Finding(
                "dns.rights",
                "dns",
                CRITICAL,
                f"{tried['name']} {tried['type']}",
                f"It can't be changed with what is there: {tried['why']}",
                "A failover stops at it, when all else is done already.",
                tried["fix"] or "Try it with playbooks/dns.yml and --check (docs/dns.md).",
            )


def _approvals(facts: Json) -> t.Iterator[Finding]:
    approvals = facts.get("approvals") or {}
    needed, signers = int(approvals.get("needed") or 0), len(approvals.get("signers") or ())
    about = str(facts["service"])
    if needed > signers:
        yield Finding(
            "approvals.quorum",
            "approvals",
            CRITICAL,
            about,
            f"{needed} approvals are needed, and {signers} people can give one.",
            "No failover can be approved.",
            "Add signers to approvals, or need fewer.",
        )
    elif needed and needed == signers:
        yield Finding(
            "approvals.tight",
            "approvals",
            MEDIUM,
            about,
            f"All {signers} signers are needed.",
            "One who sleeps or has lost a key stops the failover.",
            "Add signers to approvals.",
        )


def _exercises(facts: Json, *, now: datetime.datetime) -> t.Iterator[Finding]:
    about = str(facts["service"])
    last = facts.get("last_run")
    if last is None:
        yield Finding(
            "exercise.never",
            "exercises",
            HIGH,
            about,
            "No failover or drill is in the ledger.",
            "What was never tried fails on the day.",
            "Practise on a quiet day: playbooks/dr_drill.yml (docs/runbooks/drill.md)",
        )
    else:
        age = now - parse_time(str(last["at"]))
        if age > _OLD:
            yield Finding(
                "exercise.old",
                "exercises",
                HIGH if age > _VERY_OLD else MEDIUM,
                about,
                f"The last one, {last['run']}, was {age.days} days ago.",
                "People and systems have changed since.",
                "Practise on a quiet day.",
            )
    drill = facts.get("last_drill")
    if drill is not None and drill["state"] != "complete":
        failed = ", ".join(drill["exceptions"]) or "unfinished"
        yield Finding(
            "exercise.failed",
            "exercises",
            HIGH,
            about,
            f"The last drill, {drill['run']} of {drill['at']}, was not well: {failed}.",
            "What fails in a drill fails on the day.",
            f"Mend it (lifeboat evidence show {about} {drill['run']}), and run playbooks/dr_drill.yml again.",
        )
    for one in facts["exercises"]:
        due, done = one.get("due"), one.get("done")
        if due is not None and (done is None or parse_time(str(done)) < parse_time(str(due))):
            when = f"last done at {done}" if done else "no record that it was ever done"
            yield Finding(
                "exercise.due",
                "exercises",
                MEDIUM if done else LOW,
                str(one["name"]),
                f"The {str(one['kind']).replace('_', ' ')} was due at {due}; {when}.",
                "What is not practised is not known to work.",
                _NOTE_IT.format(one["name"], format_time(now.replace(microsecond=0))),
            )


def _given(facts: Json) -> t.Iterator[Finding]:
    """What others have looked at and hand in as it is."""
    for one in facts.get("given") or ():
        yield Finding(
            code=str(one.get("code") or "other.given"),
            area=str(one["area"]) if one.get("area") in AREAS else "other",
            severity=str(one["severity"]) if one.get("severity") in POINTS else MEDIUM,
            about=str(one.get("about") or facts["service"]),
            what=str(one.get("what") or ""),
            why=str(one.get("why") or ""),
            fix=str(one.get("fix") or ""),
        )


_NOTE_IT = "Do it. To note that it was done: lifeboat_readiness_done: {{{}: '{}'}} among the variables."


def _seconds(limit: t.Any) -> float | None:
    return parse_duration(str(limit)).total_seconds() if limit else None
