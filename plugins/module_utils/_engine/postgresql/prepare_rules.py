# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of pg_hba.conf that let the jobs in, written only where the server keeps them out; and taking them away again.

Who is let in is asked of the server itself, by connecting: rules may stand in files that are included, and the first
one that fits decides. So our lines stand before all others, between two comments by which they are found again.
"""

from __future__ import annotations

import ipaddress
import os
import re
import typing as t

from ..core.durable import fsync_folder
from ..core.errors import (
    LifeboatError,
    PostgresAuthenticationFailed,
    PostgresHbaRefused,
    PostgresReplicationForbidden,
    PostgresRulesInvalid,
    PostgresWalSendersExhausted,
)
from ..core.preparation import Change, PreparationNote, Step
from ..core.runner import Runner
from .connection import PostgresConnection
from .session import Session

_PART = "rules"
_BY_SYSTEM = re.compile(r"(?:Peer|Ident)[a-z ]*authentication failed")
_PEER = re.compile(r'(?:from host|for host|connection for host) "([^"]+)"')
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def who_is_kept_out(jobs: PostgresConnection, *, replication: bool, runner: Runner) -> tuple[str, ...]:
    """The lines that the server lacks for these connections; none when its rules let them in.

    That a password is wrong or a role is not there yet says that a rule asked for it. Raises what else is wrong.
    """
    lines = []
    for database, connect in (("all", jobs.connect), ("replication", jobs.connect_replication)):
        if database == "replication" and not replication:
            continue
        try:
            connect(runner=runner).close()
        except PostgresHbaRefused as error:
            lines.append(_line(database, jobs, said=str(error.details.get("said", ""))))
        except PostgresAuthenticationFailed as error:
            if _BY_SYSTEM.search(str(error.details.get("said", ""))):
                lines.append(_line(database, jobs, said=""))
        except PostgresWalSendersExhausted:
            # Said before the rules are asked: what holds for the other connections most likely holds for these.
            lines += [one.replace(" all ", " replication ", 1) for one in lines]
        except PostgresReplicationForbidden:
            continue  # let in; the role's rights are somebody else's matter
    return tuple(lines)


def rules_steps(
    session: Session, *, role: str, lines: t.Sequence[str], note: PreparationNote, refusal: str
) -> list[Step]:
    """What puts these lines before all others. Raises PostgresRulesInvalid where the file is not on this host."""
    if not lines:
        return []
    path = str(session.value("SHOW hba_file"))
    if not os.path.isfile(path):
        raise PostgresRulesInvalid(
            f"{refusal} Its pg_hba.conf ({path}) is not on this host, or can't be seen.",
            hint=f"Put before all other lines there, then SELECT pg_reload_conf();   {'   '.join(lines)}",
            details={"path": path, "lines": list(lines)},
        )
    text = _read(path)
    ours = dict.fromkeys((*lines_of(text, role=role), *lines))
    wanted = with_lines(without_lines(text, role=role), role=role, lines=tuple(ours))

    def do() -> None:
        note.part(_PART).update({"path": path, "role": role})
        note.write()
        _replace(path, wanted)
        wrong = session.rows(
            "SELECT line_number, error FROM pg_catalog.pg_hba_file_rules WHERE error IS NOT NULL ORDER BY line_number"
        )
        if wrong:
            _replace(path, text)
            raise PostgresRulesInvalid(
                f"{path} can't be used by the server: line {wrong[0][0]}: {wrong[0][1]}. It is as it was before.",
                hint=f"Mend that line; see them all: {session.address.psql} -c 'TABLE pg_hba_file_rules'",
                details={"path": path},
            )

    return [Step(Change(f"lines of {path}", "none of ours", "; ".join(lines)), do)]


def lines_for(session: Session, *, role: str, addresses: t.Sequence[str]) -> tuple[str, ...]:
    """The lines for connections from *addresses*, which nobody can try from here, as far as they are not ours yet."""
    path = str(session.value("SHOW hba_file")) if addresses else ""
    present = lines_of(_read(path), role=role) if os.path.isfile(path) else ()
    quoted = '"' + role.replace('"', '""') + '"'
    wanted = (
        f"host {database} {quoted} {_network(address)} scram-sha-256"
        for address in addresses
        for database in ("all", "replication")
    )
    return tuple(line for line in wanted if line not in present)


def put_back_rules_steps(*, note: PreparationNote) -> list[Step]:
    """Take our lines away, wherever they stand by now."""
    noted = note.content.get(_PART)
    if not noted:
        return []
    path, role = str(noted["path"]), str(noted["role"])
    text = _read(path) if os.path.isfile(path) else ""
    wanted = without_lines(text, role=role)

    def do() -> None:
        if wanted != text:
            _replace(path, wanted)
        note.content.pop(_PART, None)
        note.write()

    return [Step(Change(f"lines of {path}", "ours" if wanted != text else "gone already", "none of ours"), do)]


def with_lines(text: str, *, role: str, lines: t.Sequence[str]) -> str:
    """The file with these lines before all others."""
    begin, end = _marks(role)
    return "".join(f"{line}\n" for line in (begin, *lines, end)) + text


def lines_of(text: str, *, role: str) -> tuple[str, ...]:
    """The lines between our two comments."""
    begin, end = _marks(role)
    found = re.search(rf"(?ms)^{re.escape(begin)}\n(.*?)^{re.escape(end)}\n", text)
    return tuple(found[1].splitlines()) if found else ()


def without_lines(text: str, *, role: str) -> str:
    """The file without the lines between our two comments; one without them stays as it is."""
    begin, end = _marks(role)
    return re.sub(rf"(?ms)^{re.escape(begin)}\n.*?^{re.escape(end)}\n", "", text)


def _marks(role: str) -> tuple[str, str]:
    return (
        f"# Begin: Lifeboat lets the role {role} in; written and removed by lifeboat.recovery.pg_prepare",
        f"# End: Lifeboat lets the role {role} in",
    )


def _line(database: str, jobs: PostgresConnection, *, said: str) -> str:
    role = '"' + jobs.user.replace('"', '""') + '"'
    found = _PEER.search(said)
    peer = found[1] if found else ""
    if not peer:
        peer = "[local]" if not jobs.host or jobs.host.startswith("/") else "127.0.0.1"
    if peer == "[local]":
        return f"local {database} {role} scram-sha-256"
    return f"host {database} {role} {peer}/{128 if ':' in peer else 32} scram-sha-256"


def _network(address: str) -> str:
    """An address as pg_hba.conf takes it; names and networks stay as they are."""
    try:
        return str(ipaddress.ip_network(address))
    except ValueError:
        return address


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except OSError as error:
        raise _unusable(path, error) from error


def _replace(path: str, text: str) -> None:
    """One step for whoever reads it; owner and mode stay what they are."""
    temporary = f"{path}.lifeboat-new"
    try:
        status = os.stat(path)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fchmod(file.fileno(), status.st_mode & 0o7777)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, os.path.realpath(path))
        fsync_folder(os.path.dirname(os.path.realpath(path)))
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: str, error: OSError) -> LifeboatError:
    return PostgresRulesInvalid(
        f"{path} can't be read or written: {error.strerror}.",
        hint="Run it as root or as the account of the server, on its host.",
        details={"path": path},
    )


def is_on_this_host(host: str) -> bool:
    """Whether a connection to *host* stays on this host for certain: a socket or the loopback."""
    return not host or host.startswith("/") or host in _LOOPBACK
