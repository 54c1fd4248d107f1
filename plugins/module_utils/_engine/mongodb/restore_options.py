# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore of a MongoDB dump may be asked to do, checked before anything is touched."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ..core.errors import RequestInvalid
from ..core.options import number, optional_text, refuse_unknown
from .connection import MongoConnection
from .description import choice, flag, mapping, texts

NATIVE = "native"
MONGORESTORE = "mongorestore"
# The vendor's tool by its name, as in dumps, or by whose it is.
_TOOLS: t.Mapping[str, str] = {NATIVE: NATIVE, MONGORESTORE: MONGORESTORE, "vendor": MONGORESTORE}
KEEP, ASIDE = "keep", "aside"
#: The keys of a restore.
KEYS = (
    "connection", "databases", "collections", "rename", "suffix", "users_and_roles", "in_place", "others", "parallel",
    "tool", "tool_directory",
)  # fmt: skip
_OF = "A restore of a MongoDB dump"
_SERVERS_OWN = ("config", "local")
# What no database's name may hold: https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions
_FORBIDDEN = re.compile(r'[/\\. "$*<>:|?\x00]')
_LONGEST_DATABASE = 63


@dataclass(frozen=True)
class MongoRestoreOptions:
    """*databases* and *collections* (``database.collection``) say what of the backup is restored; neither: all of it.

    *rename* gives databases other names, *suffix* is put behind the names of all others. *in_place* replaces the
    collections that are there; what else the target's databases hold stays, or with *others* "aside" is moved aside,
    too. *users_and_roles* restores those of the backup. *parallel* inserters work at the same time (1 to 64).
    *tool_directory* is where mongorestore is, when not on PATH.
    """

    connection: MongoConnection
    databases: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    rename: t.Mapping[str, str] = field(default_factory=dict)
    suffix: str = ""
    users_and_roles: bool = False
    in_place: bool = False
    others: str = KEEP
    parallel: int = 4
    tool: str = NATIVE
    tool_directory: str | None = None

    def takes(self, database: str, name: str) -> bool:
        """Whether a collection or view of the backup is wanted."""
        if not self.databases and not self.collections:
            return True
        return database in self.databases or f"{database}.{name}" in self.collections

    def database(self, name: str) -> str:
        """What a database of the backup is called on the target."""
        return self.rename.get(name, name + self.suffix)

    @property
    def is_whole(self) -> bool:
        """Whether everything that is in the backup is wanted."""
        return not self.databases and not self.collections


def restore_options_from(description: t.Mapping[str, t.Any]) -> MongoRestoreOptions:
    """The options of a description. Raises RequestInvalid for unknown keys, wrong types and contradictions."""
    refuse_unknown(description, known=KEYS, of=_OF)
    description = {key: value for key, value in description.items() if value is not None}
    parallel = number(description, "parallel", of=_OF, default=4, at_most=64)
    if parallel != int(parallel):
        raise RequestInvalid(f"{_OF}: parallel must be a whole number, not {parallel!r}.")
    tool = choice(description, "tool", of=_OF, choices=tuple(_TOOLS), default=NATIVE)
    options = MongoRestoreOptions(
        connection=MongoConnection.from_description(mapping(description, "connection", of=_OF)),
        databases=texts(description, "databases", of=_OF),
        collections=texts(description, "collections", of=_OF),
        rename=_renamed(mapping(description, "rename", of=_OF)),
        suffix=optional_text(description, "suffix", of=_OF) or "",
        users_and_roles=flag(description, "users_and_roles", of=_OF, default=False),
        in_place=flag(description, "in_place", of=_OF, default=False),
        others=choice(description, "others", of=_OF, choices=(KEEP, ASIDE), default=KEEP),
        parallel=int(parallel),
        tool=_TOOLS[tool],
        tool_directory=optional_text(description, "tool_directory", of=_OF),
    )
    _refuse_names(options)
    _refuse_contradictions(options)
    return options


def _renamed(rename: t.Mapping[str, t.Any]) -> dict[str, str]:
    for old, new in rename.items():
        if not isinstance(new, str) or not new:
            raise RequestInvalid(
                f"rename gives the database {old} no name.", hint="Write rename: {shop: shop_recovery}."
            )
    return {str(old): str(new) for old, new in rename.items()}


def _refuse_names(options: MongoRestoreOptions) -> None:
    for name in options.databases:
        if name in _SERVERS_OWN:
            raise RequestInvalid(f"The database {name} belongs to the server itself and is not restored.")
    for full in options.collections:
        database, dot, name = full.partition(".")
        if not dot or not database or not name:
            raise RequestInvalid(f"{full!r} names no collection.", hint="Write collections: [shop.orders].")
        if database in _SERVERS_OWN:
            raise RequestInvalid(f"The database {database} belongs to the server itself and is not restored.")
    if _FORBIDDEN.search(options.suffix):
        raise RequestInvalid(
            f"{options.suffix!r} can't be a part of a database's name.", hint="Write suffix: _recovery."
        )
    for old, new in options.rename.items():
        require_database_name(new)
        if new in ("admin", *_SERVERS_OWN):
            raise RequestInvalid(f"The database {old} can't become {new}, which belongs to the server.")


def _refuse_contradictions(options: MongoRestoreOptions) -> None:
    if options.users_and_roles and (options.rename or options.suffix):
        raise RequestInvalid(
            "Users and roles belong to databases by their names in the backup, and these are given other names.",
            hint="Leave users_and_roles out, or rename and suffix.",
        )
    if options.users_and_roles and options.collections:
        raise RequestInvalid(
            "Users and roles belong to whole databases, and single collections are asked for.",
            hint="Name databases instead of collections, or leave users_and_roles out.",
        )
    if options.users_and_roles and options.tool == MONGORESTORE:
        raise RequestInvalid(
            "mongorestore puts users and roles in force at once, before anything was compared.",
            hint="Use tool: native, or leave users_and_roles out.",
        )
    if options.others == ASIDE and not options.in_place:
        raise RequestInvalid("others: aside moves what is there aside, which is for restores in place.")
    if options.others == ASIDE and options.collections:
        raise RequestInvalid(
            "others: aside moves all other collections of a database aside, and single ones are asked for.",
            hint="Name databases instead of collections, or leave others out.",
        )


def require_database_name(name: str) -> None:
    """Raise RequestInvalid when no database can have this name."""
    if _FORBIDDEN.search(name) or not 0 < len(name.encode("utf-8")) <= _LONGEST_DATABASE:
        raise RequestInvalid(
            f"No database can be called {name!r}.",
            hint=f'At most {_LONGEST_DATABASE} bytes, none of / \\ . space " $ * < > : | ?',
        )
