# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ACL user that the jobs come as, and what it may run: nothing that writes a key."""

from __future__ import annotations

import hashlib
import typing as t

from ..core.errors import AccountForeign, RedisCommandFailed
from ..core.preparation import Change, PreparationNote, Step
from .faults import ACL_RULES
from .resp import RespClient

_PART = "user"


def rules_needed(kinds: t.Collection[str], *, labels: bool = False) -> tuple[str, ...]:
    """The least that these kinds need, as ACL SETUSER takes it, the refusal of everything first.

    A label is the server's second, and so takes what a stream takes.

    The times in the append-only file are turned on by whoever prepares the server, so no job needs CONFIG SET.
    """
    return (*ACL_RULES.split(), *(("+time",) if labels or "aof-log" in kinds else ()))


def user_steps(
    client: RespClient, *, name: str, password: str, rules: t.Sequence[str], note: PreparationNote
) -> list[Step]:
    """What makes the user able to do its work and no more. Raises AccountForeign, and what the server says."""
    found = read_user(client, name)
    digest = hashlib.sha256(password.encode("utf-8")).hexdigest()
    made = note.content.get(_PART, {}).get("made") == name
    if found is None:
        return [_make(client, name=name, digest=digest, rules=rules, note=note)]
    if digest not in found["passwords"] and "nopass" not in found["flags"] and not made:
        raise AccountForeign(
            f"{client.peer} has a user {name} with another password than the jobs' connection, and Lifeboat has not "
            "made it.",
            hint=f"Add it on the server: ACL SETUSER {name} >PASSWORD, mend the reference to the password, or name "
            "another username in the connection: it is made.",
            details={"user": name},
        )
    if made:
        fits = digest in found["passwords"] and len(found["passwords"]) == 1 and _same(found["commands"], rules)
        fits = fits and "on" in found["flags"] and not found["keys"]
        return [] if fits else [_make(client, name=name, digest=digest, rules=rules, note=note, anew=True)]
    lacking = [rule for rule in rules[1:] if not _allows(found["commands"], rule)]
    lacking += [] if "on" in found["flags"] else ["on"]
    return [_grant(client, name=name, rules=lacking, note=note)] if lacking else []


def put_back_user_steps(client: RespClient, *, note: PreparationNote) -> list[Step]:
    """Remove the user that was made, or take away what was granted to one that was there."""
    noted = note.content.get(_PART)
    if not noted:
        return []
    name = str(noted["name"])
    there = read_user(client, name) is not None
    made = noted.get("made") == name
    granted = [str(rule) for rule in noted.get("rules", ())]

    def do() -> None:
        if there and made:
            client.command("ACL", "DELUSER", name)
        elif there:
            back = ["off" if rule == "on" else f"-{rule[1:]}" for rule in granted]
            client.command("ACL", "SETUSER", name, *back)
        note.content.pop(_PART, None)
        note.write()

    before = ("there" if made else f"with {' '.join(granted)}") if there else "gone already"
    return [Step(Change(f"user {name}", before, "gone" if made else f"without {' '.join(granted)}"), do)]


def read_user(client: RespClient, name: str) -> dict[str, t.Any] | None:
    """What ACL GETUSER says, None when there is no such user. Raises RedisPermissionDenied."""
    reply = client.command("ACL", "GETUSER", name)
    if reply is None:
        return None
    if not isinstance(reply, list):
        raise RedisCommandFailed(f"{client.peer} answers ACL GETUSER with something else.", hint="Run it by hand.")
    fields = {_text(reply[place]): reply[place + 1] for place in range(0, len(reply) - 1, 2)}
    return {
        "flags": [_text(one) for one in fields.get("flags") or ()],
        "passwords": [_text(one) for one in fields.get("passwords") or ()],
        "commands": _text(fields.get("commands")).split(),
        # A list before Redis 7, a text since.
        "keys": fields.get("keys") or "",
    }


def _make(
    client: RespClient,
    *,
    name: str,
    digest: str,
    rules: t.Sequence[str],
    note: PreparationNote,
    anew: bool = False,
) -> Step:
    def do() -> None:
        note.content[_PART] = {"name": name, "made": name}
        note.write()
        # By its digest: whoever watches the server's commands does not see the password.
        client.command("ACL", "SETUSER", name, "reset", "on", f"#{digest}", *rules)

    return Step(Change(f"user {name}", "another password or other rights" if anew else "none", " ".join(rules)), do)


def _grant(client: RespClient, *, name: str, rules: t.Sequence[str], note: PreparationNote) -> Step:
    def do() -> None:
        noted = note.part(_PART)
        noted["name"] = name
        noted["rules"] = sorted({*noted.get("rules", ()), *rules})
        note.write()
        client.command("ACL", "SETUSER", name, *rules)

    words = " ".join(rules)
    return Step(Change(f"user {name}", f"without {words}", f"with {words}"), do)


def _same(found: t.Sequence[str], rules: t.Sequence[str]) -> bool:
    return sorted(found) == sorted(rules)


def _allows(found: t.Sequence[str], rule: str) -> bool:
    """Whether the rules of a user allow a command; what can't be told by its words counts as not allowed."""
    if "+@all" in found and f"-{rule[1:]}" not in found:
        return True
    return rule in found or rule.partition("|")[0] in found


def _text(value: t.Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
