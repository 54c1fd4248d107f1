# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user that the jobs come as: made with the least roles that do, and dropped again."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import AccountForeign, MongoAuthenticationFailed
from ..core.preparation import Change, PreparationNote, Step
from ..core.runner import Runner
from .connection import MongoConnection
from .faults import named_faults

if t.TYPE_CHECKING:
    from .connection import Client

_PART = "user"
_ROLE = "userAdminAnyDatabase"


@dataclass(frozen=True)
class Account:
    """The user of a URI and where it is kept; the password is never shown."""

    name: str
    database: str
    password: str


def account_of(jobs: MongoConnection, *, runner: Runner) -> Account | None:
    """Whom the jobs' URI names; None when it names nobody, or a user that the server does not keep itself (X.509)."""
    from pymongo.uri_parser import parse_uri

    # Opened by now or soon, so whatever is wrong with it is said there without its secrets.
    parsed = parse_uri(jobs.fetch_uri(runner=runner))
    if not parsed.get("username") or not parsed.get("password"):
        return None
    options = {str(key).lower(): value for key, value in parsed["options"].items()}
    database = options.get("authsource") or parsed.get("database") or "admin"
    return Account(name=str(parsed["username"]), database=str(database), password=str(parsed["password"]))


def roles_needed(*, manages: bool) -> tuple[str, ...]:
    """The least; *manages*: the jobs set parameters of the server (keep_oplog_hours, raise_history_window)."""
    return ("backup", "clusterMonitor", *(("hostManager",) if manages else ()))


def account_steps(
    client: Client,
    *,
    account: Account,
    jobs: MongoConnection,
    roles: t.Sequence[str],
    note: PreparationNote,
    runner: Runner,
) -> list[Step]:
    """What makes the user able to do its work and no more. Raises AccountForeign and MongoNotAuthorised."""
    found = _user(client, account)
    if found is None:
        return [_make(client, account=account, roles=roles, note=note)]
    steps = []
    if not _is_let_in(jobs, runner=runner):
        if note.content.get(_PART, {}).get("made") != account.name:
            raise AccountForeign(
                f"There is a user {account.name} in {account.database} with another password than the jobs' uri, and "
                "Lifeboat has not made it.",
                hint=f'Set it in mongosh: db.getSiblingDB("{account.database}").changeUserPassword("{account.name}", '
                "passwordPrompt()), mend the uri, or name another user in it: it is made.",
                details={"user": account.name},
            )
        change = Change(f"password of the user {account.name}", "another", "that of the uri")
        steps.append(Step(change, lambda: _update(client, account)))
    has = {str(role["role"]) for role in found.get("roles", ()) if role.get("db") == "admin"}
    lacking = [role for role in roles if role not in has and "root" not in has]
    if lacking:
        steps.append(_grant(client, account=account, roles=lacking, note=note))
    return steps


def put_back_account_steps(client: Client, *, note: PreparationNote) -> list[Step]:
    """Drop the user that was made, or take away what was granted to one that was there."""
    noted = note.content.get(_PART)
    if not noted:
        return []
    account = Account(name=str(noted["name"]), database=str(noted["database"]), password="")
    there = _user(client, account) is not None
    made = noted.get("made") == account.name
    granted = [str(role) for role in noted.get("roles", ())]

    def do() -> None:
        with named_faults("Taking the user's rights away", role=_ROLE):
            if there and made:
                client[account.database].command({"dropUser": account.name})
            elif there:
                client[account.database].command({"revokeRolesFromUser": account.name, "roles": _in_admin(granted)})
        note.content.pop(_PART, None)
        note.write()

    before = ("there" if made else f"with {', '.join(granted)}") if there else "gone already"
    return [Step(Change(f"user {account.name}", before, "gone" if made else f"without {', '.join(granted)}"), do)]


def _make(client: Client, *, account: Account, roles: t.Sequence[str], note: PreparationNote) -> Step:
    def do() -> None:
        note.content[_PART] = {"name": account.name, "database": account.database, "made": account.name}
        note.write()
        with named_faults(f"Making the user {account.name}", role=_ROLE):
            client[account.database].command(
                {"createUser": account.name, "pwd": account.password, "roles": _in_admin(roles)}
            )

    return Step(Change(f"user {account.name}", "none", f"in {account.database}, with {', '.join(roles)}"), do)


def _grant(client: Client, *, account: Account, roles: t.Sequence[str], note: PreparationNote) -> Step:
    def do() -> None:
        noted = note.part(_PART)
        noted.update({"name": account.name, "database": account.database})
        if noted.get("made") != account.name:
            noted["roles"] = sorted({*noted.get("roles", ()), *roles})
        note.write()
        with named_faults(f"Giving rights to the user {account.name}", role=_ROLE):
            client[account.database].command({"grantRolesToUser": account.name, "roles": _in_admin(roles)})

    names = ", ".join(roles)
    return Step(Change(f"user {account.name}", f"without {names}", f"with {names}"), do)


def _update(client: Client, account: Account) -> None:
    with named_faults(f"Setting the password of the user {account.name}", role=_ROLE):
        client[account.database].command({"updateUser": account.name, "pwd": account.password})


def _user(client: Client, account: Account) -> dict[str, t.Any] | None:
    with named_faults("Looking for the user", role=_ROLE):
        found = client[account.database].command({"usersInfo": account.name})["users"]
    return dict(found[0]) if found else None


def _is_let_in(jobs: MongoConnection, *, runner: Runner) -> bool:
    try:
        jobs.open(runner=runner).close()
    except MongoAuthenticationFailed:
        return False
    return True


def _in_admin(roles: t.Iterable[str]) -> list[dict[str, str]]:
    return [{"role": role, "db": "admin"} for role in roles]
