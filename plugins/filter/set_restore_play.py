# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of ``playbooks/restore.yml`` where a set is restored: which members, by what, and what is told of them.

A row is one member of the set, in the order in which they come back. Its ``state`` says whether it is :data:`WANTED`,
or why it is not restored now.
"""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from .recovery_play import Json, entries
from .restore_play import restorable, restore_options
from .restore_questions import way_back

#: States of a row before anything is done.
WANTED, DONE, NOT_NEEDED, LEFT_OUT, IMPOSSIBLE = "wanted", "restored before", "not needed", "left out", "impossible"
_PASSED_OVER = (DONE, NOT_NEEDED, LEFT_OUT)
_RESTORED, _WRONG, _FAILED, _NOT_BEGUN = "restored", "WRONG ANSWER", "FAILED", "not begun"
_COLUMNS = ("MEMBER", "STATE", "BACKUP", "TOOK", "WHERE, OR WHY NOT")
#: What decides where a restore puts the data: two that agree in it have restored to one place.
_PLACE = ("in_place", "data_directory", "into", "suffix", "rename", "database", "paths", "take")


def set_members(
    found: Json, target: Json, description: Json, *, options: t.Any = None, wishes: Json | None = None
) -> list[dict[str, t.Any]]:
    """A row for each member of the set *found* (what the module ``recovery_set`` returned), *target* its own entry.

    *description* has ``services``, ``repositories`` and ``settings``. *options* are those of the restorers, by
    ``source/kind`` or ``source``. *wishes*: ``in_place``; ``directory``, what is beside goes into folders there;
    ``only`` these members; ``resume``, so that what this host has restored to the same place is not done again.
    """
    wishes = wishes or {}
    given = dict(options or {})
    only = entries(wishes.get("only"))
    members = [(f"{one['source']}/{one['kind']}", one) for one in found["members"]]
    _refuse_strangers("lifeboat_restore_options", given, members)
    _refuse_strangers("lifeboat_restore_members", only, members)
    chosen = {name for name, one in members if not only or _named(only, name)}
    usable = {f"{target['service']}/{name}" for name, one in members if name in chosen and not one["problem"]}
    rows = []
    for name, one in members:
        row = {"name": name, "id": one["id"], "target": None, "options": {}, "state": WANTED, "why": ""}
        if name not in chosen:
            row.update(state=LEFT_OUT, why="lifeboat_restore_members names others")
        elif one["instead"] in usable:
            row.update(state=NOT_NEEDED, why=f"the same data as {one['instead']}, which comes back")
        elif one["problem"]:
            row.update(state=IMPOSSIBLE, why=one["problem"])
        else:
            own = {**(given.get(one["source"]) or {}), **(given.get(name) or {})}
            row.update(_to_restore(one, name, target, description, options=own, found=found, wishes=wishes))
        rows.append(row)
    return rows


def set_plan_lines(rows: t.Sequence[Json], planned: Json, found: Json) -> list[str]:
    """The plan of the whole set: every member with its own plan, or why it is none."""
    span = found.get("span") or {}
    lines = [
        f"{found['name']}: {sum(1 for row in rows if row['state'] == WANTED)} of {len(rows)} members would be restored",
        f"  {found['backup']['reason']}; made from {span.get('begins')} to {span.get('ends')}, each at its own moment",
    ]
    for number, row in enumerate(rows, start=1):
        plan = planned.get(row["name"]) or {}
        if row["state"] != WANTED:
            lines.append(f"{number}. {row['name']} {row['id']}: {row['state']}: {row['why']}")
        elif "error" in plan:
            lines.append(f"{number}. {row['name']} {row['id']}: can't be restored: {plan['error']}")
        else:
            # What each would ask to be confirmed is confirmed together, by the name of the set.
            told = [line for line in str(plan["text"]).splitlines() if line.strip()]
            told = [line.partition(": to go ahead")[0] for line in told]
            lines += [f"{number}. {told[0]}", *(f"   {line}" for line in told[1:])]
    return lines + [f"not in the set: {line}" for line in found.get("left_out") or ()]


def set_unplanned(rows: t.Sequence[Json], planned: Json) -> list[str]:
    """The members that are wanted and can't be restored, each with its reason."""
    reasons = {row["name"]: row["why"] for row in rows if row["state"] == IMPOSSIBLE}
    reasons.update({name: plan["error"] for name, plan in planned.items() if "error" in plan})
    return [f"{row['name']}: {reasons[row['name']]}" for row in rows if row["name"] in reasons]


def set_report(rows: t.Sequence[Json], planned: Json, outcomes: Json) -> dict[str, t.Any]:
    """What came of the set: ``table``; ``problems``, one text for each member that is not well; the names of those
    ``restored`` and ``unfinished``; and whether one is ``broken``, its old data not back in its place or nobody knows.

    *planned* and *outcomes* are by the name of the member; an outcome has ``restored``, ``answers``, or ``error``.
    """
    from ..module_utils._engine.report.text import format_seconds, format_table

    lines, problems, unfinished = [], [], []
    for row in rows:
        outcome = outcomes.get(row["name"]) or {}
        restored = outcome.get("restored") or {}
        state, told = _came_of(row, (planned.get(row["name"]) or {}).get("error"), outcome)
        took = format_seconds(restored["seconds"]) if restored else "-"
        lines.append([str(row["name"]), state, str(row["id"]), took, told])
        if state not in (_RESTORED, *_PASSED_OVER):
            problems.append(f"{row['name']} {state}: {told}")
        if state in (_FAILED, _NOT_BEGUN):
            unfinished.append(str(row["name"]))
    return {
        "table": format_table(_COLUMNS, lines, right=("TOOK",)),
        "problems": problems,
        "restored": [name for name, outcome in outcomes.items() if outcome.get("restored")],
        "unfinished": unfinished,
        "broken": any(outcome.get("broken") for outcome in outcomes.values()),
    }


def set_way_back(rows: t.Sequence[Json], outcomes: Json, *, state_directory: str, host: str) -> list[str]:
    """The way back of each member that was restored; what came last is taken back first."""
    lines: list[str] = []
    for row in reversed(rows):
        restored = (outcomes.get(row["name"]) or {}).get("restored")
        if restored:
            lines += [f"{row['name']}:"]
            lines += [f"  {line}" for line in way_back(restored, state_directory=state_directory, host=host)]
    return lines or ["Nothing was restored, so there is nothing to be taken back."]


def _came_of(row: Json, unplanned: str | None, outcome: Json) -> tuple[str, str]:
    if outcome.get("error"):
        return _FAILED, str(outcome["error"])
    if outcome.get("restored"):
        wrong = [str(one["message"]) for one in outcome.get("answers") or () if one["state"] == "failed"]
        return (_WRONG, "; ".join(wrong)) if wrong else (_RESTORED, str(outcome["restored"]["where"]))
    if row["state"] in _PASSED_OVER:
        return str(row["state"]), str(row["why"])
    if unplanned or row["state"] == IMPOSSIBLE:
        return _FAILED, str(unplanned or row["why"])
    return _NOT_BEGUN, "a member before it failed"


def _to_restore(
    one: Json, name: str, target: Json, description: Json, *, options: Json, found: Json, wishes: Json
) -> dict[str, t.Any]:
    """What a row says of a member that is asked for."""
    service = target["service"]
    described = restorable(
        description["services"], description["repositories"], description["settings"], f"{service}/{name}"
    )
    if not described:
        return {"state": IMPOSSIBLE, "why": f"{service}/{name} is not described here any more."}
    # The members lie where the set does, whatever their own jobs store.
    own = {**described[0], "repositories": target["repositories"]}
    in_place = bool(wishes.get("in_place"))
    own_options = dict(options)
    if not in_place and "data_directory" in own["takes"] and not _places(own_options):
        own_options["data_directory"] = "/".join(
            [str(wishes["directory"]).rstrip("/"), f"{found['backup']['id']}-{name.replace('/', '-')}"]
        )
    try:
        taken = restore_options(own, own_options, in_place=in_place)
    except AnsibleFilterError as error:
        if own["module"] != "pg_base_restore" or _places(own_options):
            return {"state": IMPOSSIBLE, "why": str(error)}
        example = f'{{"lifeboat_restore_options": {{"{name}": {{"data_directory": "/var/lib/postgresql/15/main"}}}}}}'
        return {"state": IMPOSSIBLE, "why": f"Say which folder the cluster is in: -e '{example}'"}
    row = {"target": own, "options": taken}
    earlier = [
        restore
        for restore in one["restores"]
        if wishes.get("resume")
        and restore["state"] in ("finished", "discarded")
        and _place(restore["options"]) == _place(taken)
    ]
    if earlier:
        row.update(state=DONE, why=f"by the restore {earlier[-1]['id']}, begun {earlier[-1]['started']}")
    return row


def _places(options: Json) -> bool:
    """Whether they say already where the data goes."""
    return any(options.get(key) for key in ("data_directory", "into", "in_place"))


def _place(options: Json) -> dict[str, t.Any]:
    """The part of the options that decides where the data goes; written numbers and words are alike."""
    found = {key: options[key] for key in _PLACE if options.get(key) not in (None, "", False, [], {})}
    return {key: str(value).lower() if key == "in_place" else value for key, value in found.items()}


def _named(wanted: t.Iterable[str], name: str) -> bool:
    return name in wanted or name.partition("/")[0] in wanted


def _refuse_strangers(variable: str, named: t.Iterable[str], members: t.Sequence[tuple[str, Json]]) -> None:
    known = [name for name, _member in members]
    strangers = [one for one in named if not any(_named([one], name) for name in known)]
    if strangers:
        raise AnsibleFilterError(
            f"{variable} names {' and '.join(strangers)}, and the set has no such member. It has: {', '.join(known)}."
        )


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {
            "set_members": set_members,
            "set_plan_lines": set_plan_lines,
            "set_report": set_report,
            "set_unplanned": set_unplanned,
            "set_way_back": set_way_back,
        }
