# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preparing Redis or Valkey for its backups: the jobs' user, and settings. No restart is ever needed.

What is changed while the server runs is written where it reads it at its next start: users into its aclfile (ACL SAVE)
or with everything else into its configuration (CONFIG REWRITE). Where neither can be, that is said.
"""

from __future__ import annotations

import typing as t

from ..core.errors import (
    AofLogUnsupported,
    ServerDifferent,
)
from ..core.host import Host
from ..core.options import refuse_unknown
from ..core.preparation import Change, PreparationNote, Prepared, PrepareRequest, Step, nothing_to_put_back, run_steps
from .administrator import administrator_of
from .aof_log_server import TIMESTAMPS
from .connection import RedisConnection
from .facts import ServerFacts, read_facts
from .info import read_info
from .lasting import write_down
from .prepare_rights import put_back_user_steps, rules_needed, user_steps
from .resp import RespClient

_KEYS = ("labels",)
_PART, _UNSAVED = "settings", "unsaved"
_APPEND_ONLY = ("aof", "aof-log")
_STREAMS_SINCE = (7, 0)


def prepare_redis(request: PrepareRequest, *, host: Host) -> Prepared:
    """Make the server ready, or put back what was there before; in check mode only say it.

    Options: ``labels`` (the jobs' user makes recovery labels). Raises what connecting raises, RedisPermissionDenied
    where the administrator may not do it, RedisCommandUnavailable where a service has switched the commands off,
    AofLogUnsupported, AccountForeign and ServerDifferent.
    """
    refuse_unknown(request.options, known=_KEYS, of="the preparation of Redis")
    note = PreparationNote(engine="redis", request=request)
    if request.absent and not note.content:
        return nothing_to_put_back(request)
    jobs = RedisConnection.from_description(request.connection)
    administrator = administrator_of(request.connection, request.administrator)
    client = administrator.open(runner=host.runner)
    try:
        facts = read_facts(client)
        if facts.settings is None:
            # Says by its own name what the administrator may not do.
            client.command("CONFIG", "GET", "dir")
        account = jobs.username if jobs.username and jobs.username != administrator.username else None
        if request.absent:
            steps = [*_put_back(client, facts, note=note), *put_back_user_steps(client, note=note)]
        else:
            steps = _settings(client, facts, request=request, note=note)
            if account is not None:
                password = jobs.password.fetch(runner=host.runner) or ""
                rules = rules_needed(request.kinds, labels=bool(request.options.get("labels")))
                steps += user_steps(client, name=account, password=password, rules=rules, note=note)
        hands: list[str] = []
        changes = run_steps(steps, check=request.check)
        if not request.check:
            hands = _make_it_last(client, facts, changes, note=note)
        if not request.check and not request.absent and account is not None:
            _prove(jobs, facts, host=host)
    finally:
        client.close()
    return Prepared(server=administrator.address, account=account, changes=changes, by_hand=tuple(hands))


def _settings(client: RespClient, facts: ServerFacts, *, request: PrepareRequest, note: PreparationNote) -> list[Step]:
    wanted: dict[str, str] = {}
    if "aof-log" in request.kinds:
        if facts.redis_version < _STREAMS_SINCE:
            raise AofLogUnsupported(
                f"{client.peer} is {facts.flavour.capitalize()} {facts.version}: before Redis 7.0 an append-only file "
                "has no times in it.",
                hint="Upgrade the server, or take the job of the kind aof-log out of the description.",
                details={"version": facts.version},
            )
        wanted[TIMESTAMPS] = "yes"
    if any(kind in request.kinds for kind in _APPEND_ONLY):
        wanted["appendonly"] = "yes"
    found = facts.settings or {}
    return [
        _set(client, name, found.get(name, ""), value, note=note)
        for name, value in wanted.items()
        if found.get(name) != value
    ]


def _put_back(client: RespClient, facts: ServerFacts, *, note: PreparationNote) -> list[Step]:
    found = facts.settings or {}
    steps = []
    # The append-only file goes before the times in it.
    for name, entry in reversed(list(note.part(_PART).items())):
        if found.get(name) == entry["set"]:
            steps.append(_set(client, name, entry["set"], entry["before"], note=note, back=True))
        else:
            change = Change(f"note of the setting {name}", "ours", "somebody else's by now")
            steps.append(Step(change, _dropping(note, name)))
    return steps


def _set(client: RespClient, name: str, before: str, value: str, *, note: PreparationNote, back: bool = False) -> Step:
    def do() -> None:
        if not back:
            note.part(_PART).setdefault(name, {"before": before})["set"] = value
            note.write()
        client.command("CONFIG", "SET", name, value)
        if back:
            _dropping(note, name)()

    return Step(Change(f"setting {name}", before or "(not set)", value), do)


def _dropping(note: PreparationNote, name: str) -> t.Callable[[], None]:
    def drop() -> None:
        note.part(_PART).pop(name, None)
        note.write()

    return drop


def _make_it_last(
    client: RespClient, facts: ServerFacts, changes: t.Sequence[Change], *, note: PreparationNote
) -> list[str]:
    """Have the server write down what it does by now; what it can't is a sentence for the operator, and noted."""
    names = {one.what for one in changes} | set(note.content.get(_UNSAVED, ()))
    users = sorted(name for name in names if name.startswith("user "))
    others = sorted(names.difference(users))
    hands = []
    unsaved: list[str] = []
    if users and (facts.settings or {}).get("aclfile"):
        hands += _write(client, ("ACL", "SAVE"), users, unsaved=unsaved)
        users = []
    if users or others:
        if read_info(client, "server").get("config_file"):
            hands += _write(client, ("CONFIG", "REWRITE"), [*users, *others], unsaved=unsaved)
        else:
            unsaved += [*users, *others]
            hands.append(
                f"{client.peer} runs without a configuration file, so it forgets at its next start: "
                f"{', '.join([*users, *others])}. Give it one, and run this again."
            )
    if names:
        note.content[_UNSAVED] = unsaved
        note.write()
    return hands


def _write(client: RespClient, command: tuple[str, str], names: t.Sequence[str], *, unsaved: list[str]) -> list[str]:
    why = write_down(client, *command)
    if why is None:
        return []
    unsaved += names
    forgets = f"{client.peer} forgets at its next start: {', '.join(names)}."
    return [f"{forgets} {' '.join(command)} failed: {why} Mend that, and run this again."]


def _prove(jobs: RedisConnection, facts: ServerFacts, *, host: Host) -> None:
    """Come in as the jobs do, to the same server."""
    client = jobs.open(runner=host.runner)
    try:
        found = read_facts(client)
    finally:
        client.close()
    if found.run_id != facts.run_id:
        raise ServerDifferent(
            f"The administrator and the jobs ({jobs.address}) reach two different servers.",
            hint="Give the administrator the host and port of the jobs' connection.",
        )
