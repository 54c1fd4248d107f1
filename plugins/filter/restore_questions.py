# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of ``playbooks/restore.yml``: the questions that are asked after a recovery, and how it is told at the end.

They are asked with the database's own client, by the command that opens what was restored: what answers there is what
an operator would see. Only reading is possible. A question that no client here can ask is *skipped*, and said so.
"""

from __future__ import annotations

import shlex
import typing as t

from .recovery_play import Json

if t.TYPE_CHECKING:
    from ..module_utils._engine.recovery.questions import Answer

# $1 is the account to become where we are root, $2 a file with the password, $3 one in libpq's form; each may be empty.
_ASK = """\
account=$1 password=$2 passfile=$3; shift 3
if [ -n "$password" ]; then
  PGPASSWORD=$(cat "$password") || exit; REDISCLI_AUTH=$PGPASSWORD; export PGPASSWORD REDISCLI_AUTH
fi
if [ -n "$passfile" ]; then PGPASSFILE=$passfile; export PGPASSFILE; fi
PGOPTIONS=-cdefault_transaction_read_only=on PGCONNECT_TIMEOUT=10; export PGOPTIONS PGCONNECT_TIMEOUT
if [ -n "$account" ] && [ "$(id -u)" = 0 ]; then exec runuser -u "$account" -- "$@"; fi
exec "$@"
"""
_READING = ("dbsize", "exists", "get", "hget", "hlen", "llen", "scard", "strlen", "ttl", "type", "zcard", "zscore")


def recovery_questions(target: Json, restored: Json, plan: Json, options: Json) -> list[dict[str, t.Any]]:
    """Each question of *target* with ``argv``, the command that asks it of what was *restored*; None for none."""
    return [
        {"question": question, "name": question["name"], "argv": _command(question, target, restored, plan, options)}
        for question in target["questions"]
    ]


def judged(asked: t.Sequence[Json], references: t.Mapping[str, t.Any] | None = None) -> list[dict[str, t.Any]]:
    """What came of the questions: *asked* holds the results of the commands, each with ``lifeboat_asked``.

    *references* are answers of others to the same, where they are known.
    """
    from ..module_utils._engine.recovery.questions import FAILED, SKIPPED, Check, question_from

    checks = []
    for result in asked:
        question = question_from(result["lifeboat_asked"]["question"])
        if result["lifeboat_asked"]["argv"] is None:
            checks.append(Check(question.name, SKIPPED, f"{question.name}: not asked, there is no client for it here"))
        elif result.get("rc") != 0:
            said = str(result.get("stderr") or result.get("msg") or "no message").strip()
            checks.append(Check(question.name, FAILED, f"{question.name}: could not be asked: {said}"))
        else:
            checks.append(question.judge(_answer(str(result["stdout"])), references=references or {}))
    return [check.as_dict() for check in checks]


def restore_report(restored: Json, checks: t.Sequence[Json] = (), *, objectives: Json | None = None) -> list[str]:
    """What came of a restore, as lines for the end of the play."""
    from ..module_utils._engine.recovery.questions import FAILED
    from ..module_utils._engine.report.text import format_seconds, format_table

    lines = [
        f"{restored['target']}: restored from {restored['backup']['id']} ({restored['backup']['reason']})",
        f"  took {format_seconds(restored['seconds'])}"
        + (f"; the objective is {objectives['rto']}" if objectives and "rto" in objectives else ""),
        f"  where: {restored['where']}",
    ]
    if restored.get("connect"):
        lines.append(f"  connect: {restored['connect']}")
    lines += [f"  warning: {warning}" for warning in restored.get("warnings") or ()]
    if checks:
        rows = [[str(one["name"]), _told(one), "-" if one["found"] is None else str(one["found"])] for one in checks]
        lines += ["", *format_table(("QUESTION", "STATE", "ANSWER"), rows, right=("ANSWER",)).split("\n")]
        lines += [str(one["message"]) for one in checks if one["state"] == FAILED]
    return lines


def way_back(restored: Json, *, state_directory: str, host: str) -> list[str]:
    """How to take the restore back, and how to remove what it moved aside: by module and by command line."""
    aside = list(restored.get("aside") or ())
    lines = [f"The restore is {restored['id']} on {host} (state directory {state_directory})."]
    if not aside:
        return [*lines, "Nothing was moved aside: what was there before is untouched."]
    target = shlex.quote(str(restored["target"]))
    lines += [f"What was there before: {', '.join(str(name) for name in aside)}"]
    for action, option, what in (
        ("roll_back", "--roll-back", "Go back to it (what was written since is lost):"),
        ("discard", "--discard", "Remove it for ever, when nobody needs it any more:"),
    ):
        by_module = f"restore_id: {restored['id']}, action: {action}, confirm: {target}"
        lines += [
            what,
            f"  lifeboat restore {option} {restored['id']} --confirm {target}",
            f"  or with lifeboat.recovery.restore_finish: {{{by_module}}}",
        ]
    return lines


def _told(check: Json) -> str:
    """Without an expectation an answer is neither right nor wrong."""
    from ..module_utils._engine.recovery.questions import SKIPPED

    return "reported" if check["state"] == SKIPPED and check["found"] is not None else str(check["state"])


def _command(question: Json, target: Json, restored: Json, plan: Json, options: Json) -> list[str] | None:
    words = shlex.split(str(restored.get("connect") or ""))
    connection = options.get("connection") or {}
    if "sql" in question and words[:1] == ["psql"]:
        database = _database(question, words, options)
        folder = str(connection.get("bin_directory") or "")
        if not database:
            return None
        account = str((plan.get("facts") or {}).get("account") or "")
        # A cluster that was made anew lets its account in by the socket. One that came back as it was, and a server
        # that was there all the time, have the users and passwords of their source.
        as_before = bool(connection.get("password_file")) and target["module"] != "pg_logical_restore"
        user = ["-U", str(connection["user"])] if as_before and connection.get("user") else _flags(words, "-U")
        files = connection if as_before or not account else {}
        return _wrapped(
            [
                *(f"{folder}/psql" if folder else "psql", "-XAtqw"),
                *(*_address(words, target, options, by_password=as_before), *user),
                *("-d", database, "-c", str(question["sql"])),
            ],
            account="" if as_before else account,
            password=str(files.get("password_file") or ""),
            passfile=str(files.get("passfile") or ""),
        )
    command = [str(word) for word in question.get("redis") or ()]
    if command and words[:1] == ["redis-cli"] and command[0].lower() in _READING:
        # One of its own, beside, has no users but the default one, who has the password of the connection.
        there_before = bool(options.get("in_place"))
        user = ["--user", str(connection["username"])] if there_before and connection.get("username") else []
        return _wrapped([*words, *user, *command], password=str(connection.get("password_file") or ""))
    return None


def _address(words: t.Sequence[str], target: Json, options: Json, *, by_password: bool) -> list[str]:
    """Where psql goes. A cluster that came back in its place answers where its source did: its pg_hba.conf need not let
    the user of the description in by the socket, as Debian's does not.
    """
    if target["module"] != "pg_base_restore" or not options.get("in_place"):
        return _flags(words, "-h", "-p")
    connection = options.get("connection") or {}
    places = {"-h": connection.get("host") if by_password else None, "-p": connection.get("port")}
    return [word for flag, value in places.items() if value for word in (flag, str(value))]


def _database(question: Json, words: t.Sequence[str], options: Json) -> str | None:
    """Where the question is asked: a single database that was restored may have another name now."""
    asked = question.get("database")
    if "database" not in options:
        return str(asked) if asked else None
    if asked in (None, options["database"]):
        return str(words[-1])
    return None


def _flags(words: t.Sequence[str], *names: str) -> list[str]:
    found: list[str] = []
    for position, word in enumerate(words[:-1]):
        if word in names:
            found += [word, words[position + 1]]
    return found


def _wrapped(argv: t.Sequence[str], *, account: str = "", password: str = "", passfile: str = "") -> list[str]:
    return ["/bin/sh", "-c", _ASK, "lifeboat", account, password, passfile, *argv]


def _answer(text: str) -> Answer:
    """What a client printed, as a number where it is one."""
    line = text.strip()
    for number in (int, float):
        try:
            return number(line)
        except ValueError:
            continue
    return line or None


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {
            "judged": judged,
            "recovery_questions": recovery_questions,
            "restore_report": restore_report,
            "way_back": way_back,
        }
