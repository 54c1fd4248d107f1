# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role that the jobs come as: made with the least rights that do, and dropped again.

The server never gets the password itself, in no statement that it could write into its log: what it stores is computed
here. Whether a stored one is that of a password can be computed, too (RFC 5803), so nothing is changed without need.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import typing as t
import unicodedata

from ..core.errors import AccountForeign, PostgresNotReady
from ..core.preparation import Change, PreparationNote, Step
from .prepare_needs import RoleNeeds
from .session import Session

_PART = "role"
_SCRAM = re.compile(r"SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)")
_ROLE = """
SELECT rolsuper, rolcanlogin, rolreplication, rolbypassrls, rolpassword
  FROM pg_catalog.pg_authid WHERE rolname = %s
"""
_ATTRIBUTES = ("LOGIN", "REPLICATION", "BYPASSRLS")


def role_steps(
    session: Session,
    *,
    name: str,
    password: str | None,
    needs: RoleNeeds,
    note: PreparationNote,
    in_recovery: bool,
) -> list[Step]:
    """What makes the role able to do its work and no more. Raises AccountForeign and PostgresNotReady."""
    rows = session.rows(_ROLE, (name,))
    if in_recovery and not rows:
        raise PostgresNotReady(
            f"PostgreSQL at {session.address.server} is a standby: its roles are those of its primary, and there is no "
            f"role {name} yet.",
            hint="Prepare the primary first, with the same user and password.",
        )
    if not rows:
        return [_make(session, name=name, password=password, needs=needs, note=note)]
    superuser, *has, stored = rows[0]
    steps = []
    if password is not None and not is_password(stored, password=password, role=name):
        if note.content.get(_PART, {}).get("made") != name:
            raise AccountForeign(
                f"PostgreSQL at {session.address.server} has a role {name} with another password than the jobs' "
                "connection, and Lifeboat has not made it.",
                hint=f"Set the password of the role (psql: \\password {name}), mend the reference to it, or name "
                "another user in the connection: it is made.",
                details={"role": name},
            )
        steps.append(_change_password(session, name, password))
    if superuser or in_recovery:
        return steps
    given = dict(zip(_ATTRIBUTES, has))
    lacking = [one for one in ("LOGIN", *needs.attributes) if not given[one]]
    outside = [one for one in needs.memberships if not _is_member(session, name, one)]
    if lacking or outside:
        steps.append(_grant(session, name=name, attributes=lacking, memberships=outside, note=note))
    return steps


def put_back_role_steps(session: Session, *, note: PreparationNote) -> list[Step]:
    """Drop the role that was made, or take away what was granted to one that was there."""
    noted = note.content.get(_PART)
    if not noted:
        return []
    name = str(noted["name"])
    there = bool(session.rows(_ROLE, (name,)))
    made = noted.get("made") == name

    def do() -> None:
        if there and made:
            session.rows(f"DROP ROLE {_quoted(name)}")
        elif there:
            for one in noted.get("memberships", ()):
                session.rows(f"REVOKE {_quoted(one)} FROM {_quoted(name)}")
            for one in noted.get("attributes", ()):
                session.rows(f"ALTER ROLE {_quoted(name)} NO{one}")
        note.content.pop(_PART, None)
        note.write()

    granted = ", ".join([*noted.get("attributes", ()), *noted.get("memberships", ())])
    before = ("there" if made else f"with {granted}") if there else "gone already"
    return [Step(Change(f"role {name}", before, "gone" if made else f"without {granted}"), do)]


def is_password(stored: str | None, *, password: str, role: str) -> bool:
    """Whether what the server stores for a role is that of this password."""
    if not stored:
        return False
    if stored.startswith("md5"):
        # The server's own old form; whether to be content with it is up to its owner.
        digest = hashlib.md5((password + role).encode("utf-8"), usedforsecurity=False)
        return hmac.compare_digest(stored, "md5" + digest.hexdigest())
    found = _SCRAM.fullmatch(stored)
    if found is None:
        return False
    normal = unicodedata.normalize("NFKC", password).encode("utf-8")
    salted = hashlib.pbkdf2_hmac("sha256", normal, base64.b64decode(found[2]), int(found[1]))
    key = hashlib.sha256(hmac.new(salted, b"Client Key", hashlib.sha256).digest()).digest()
    return hmac.compare_digest(base64.b64decode(found[3]), key)


def _make(session: Session, *, name: str, password: str | None, needs: RoleNeeds, note: PreparationNote) -> Step:
    words = " ".join(("LOGIN", *needs.attributes))

    def do() -> None:
        note.content[_PART] = {"name": name, "made": name}
        note.write()
        session.rows(f"CREATE ROLE {_quoted(name)} {words}")
        if password is not None:
            _set_password(session, name, password)
        for one in needs.memberships:
            session.rows(f"GRANT {_quoted(one)} TO {_quoted(name)}")

    return Step(Change(f"role {name}", "none", f"{words} IN ROLE {', '.join(needs.memberships)}"), do)


def _grant(
    session: Session, *, name: str, attributes: t.Sequence[str], memberships: t.Sequence[str], note: PreparationNote
) -> Step:
    def do() -> None:
        noted = note.part(_PART)
        noted["name"] = name
        if noted.get("made") != name:
            noted["attributes"] = sorted({*noted.get("attributes", ()), *attributes})
            noted["memberships"] = sorted({*noted.get("memberships", ()), *memberships})
        note.write()
        if attributes:
            session.rows(f"ALTER ROLE {_quoted(name)} {' '.join(attributes)}")
        for one in memberships:
            session.rows(f"GRANT {_quoted(one)} TO {_quoted(name)}")

    granted = ", ".join([*attributes, *memberships])
    return Step(Change(f"role {name}", f"without {granted}", f"with {granted}"), do)


def _change_password(session: Session, name: str, password: str) -> Step:
    change = Change(f"password of the role {name}", "another", "that of the connection")
    return Step(change, lambda: _set_password(session, name, password))


def _set_password(session: Session, name: str, password: str) -> None:
    from psycopg2.extensions import encrypt_password

    stored = encrypt_password(password, name, scope=session.connection, algorithm="scram-sha-256")
    session.rows(f"ALTER ROLE {_quoted(name)} PASSWORD %s", (stored,))


def _is_member(session: Session, name: str, role: str) -> bool:
    return bool(session.value("SELECT pg_catalog.pg_has_role(%s::name, %s::name, 'USAGE')", (name, role)))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
