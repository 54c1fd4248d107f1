# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_dumpall's roles, statement by statement, so that those which a target lacks can be made and no others touched."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ..core.errors import PostgresDumpInvalid

_NAME = r'(?P<{0}>"(?:[^"]|"")+"|[^\s";]+)'
_ROLE = _NAME.format("role")
_CREATE = re.compile(rf"CREATE ROLE {_ROLE};")
_ALTER = re.compile(rf"ALTER ROLE {_ROLE} (?!IN DATABASE)")
#: Settings of a role in one database; a dump of that database has them too.
IN_DATABASE = re.compile(rf"ALTER ROLE {_ROLE} IN DATABASE ")
_COMMENT = re.compile(rf"COMMENT ON ROLE {_ROLE} IS ")
_GRANT = re.compile(rf"GRANT {_ROLE} TO {_NAME.format('member')}")
_GRANTOR = re.compile(rf"\s+GRANTED BY {_NAME.format('grantor')}(?=;|$)")
_LARGEST = 64 * 1024 * 1024


@dataclass(frozen=True)
class RoleStatement:
    """One statement about *role*; *member* is who gets it, for a GRANT. *text* may hold a password's hash."""

    role: str
    text: str
    creates: bool = False
    member: str = ""
    grantor: str = ""

    def __repr__(self) -> str:
        return f"RoleStatement(role={self.role!r})"


def read_globals(file: t.BinaryIO) -> str:
    """The whole payload as text. Raises PostgresDumpInvalid for what can't be the output of pg_dumpall."""
    data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise PostgresDumpInvalid(
            f"globals.sql is larger than {_LARGEST} bytes: that is no list of roles.",
            hint="Restore another backup: lifeboat list shows them.",
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PostgresDumpInvalid(
            f"globals.sql is not UTF-8: {error.reason}.", hint="Restore another backup: lifeboat list shows them."
        ) from None
    if "-- PostgreSQL database cluster dump" not in text[:4096]:
        raise PostgresDumpInvalid(
            "globals.sql does not begin as pg_dumpall's output does.",
            hint="Restore the copy in another repository, or another backup: lifeboat list shows them.",
        )
    if "-- PostgreSQL database cluster dump complete" not in text[-4096:]:
        raise PostgresDumpInvalid(
            "globals.sql ends before pg_dumpall's last line.",
            hint="Restore the copy in another repository, or another backup: lifeboat list shows them.",
        )
    return text


def role_statements(text: str) -> list[RoleStatement]:
    """The statements about roles, in order. Those about tablespaces and databases are left out."""
    found = []
    for statement in statements(text):
        for pattern in (_CREATE, _ALTER, _COMMENT):
            match = pattern.match(statement)
            if match:
                found.append(RoleStatement(role=unquoted(match["role"]), text=statement, creates=pattern is _CREATE))
                break
        else:
            match = _GRANT.match(statement)
            if match and " ON " not in statement[: match.end()]:
                grantor = _GRANTOR.search(statement)
                found.append(
                    RoleStatement(
                        role=unquoted(match["role"]),
                        text=statement,
                        member=unquoted(match["member"]),
                        grantor=unquoted(grantor["grantor"]) if grantor else "",
                    )
                )
    return found


def missing_roles(all_statements: t.Sequence[RoleStatement], *, existing: t.Collection[str]) -> list[RoleStatement]:
    """What makes the roles that *existing* lacks, with their memberships; nothing else of existing roles is touched.

    A grantor who is not there (and is not made) is left out: the one who restores then is the grantor.
    """
    made = {one.role for one in all_statements if one.creates and one.role not in existing}
    known = made | set(existing)
    wanted = []
    for one in all_statements:
        if one.member:
            if {one.role, one.member} & made and {one.role, one.member} <= known:
                text = one.text if one.grantor in known else _GRANTOR.sub("", one.text)
                wanted.append(RoleStatement(role=one.role, text=text, member=one.member, grantor=one.grantor))
        elif one.role in made:
            wanted.append(one)
    return wanted


def statements(text: str) -> t.Iterator[str]:
    """Each statement without the comments around it, up to its semicolon. psql's own commands are passed over."""
    current: list[str] = []
    position, end = 0, len(text)
    while position < end:
        character = text[position]
        at_start = not current
        if at_start and character.isspace():
            position += 1
            continue
        if text.startswith("--", position) or (at_start and character == "\\"):
            position = _after(text, "\n", position)
            continue
        if character in "'\"":
            closed = _after(text, character, position + 1)  # a doubled quote closes and opens again
            current.append(text[position:closed])
            position = closed
            continue
        current.append(character)
        position += 1
        if character == ";":
            yield "".join(current)
            current = []


def unquoted(name: str) -> str:
    """An identifier as it is stored."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _after(text: str, mark: str, position: int) -> int:
    found = text.find(mark, position)
    return len(text) if found < 0 else found + 1
