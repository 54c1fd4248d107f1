# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore of a logical dump may choose, checked before anything is touched."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ..core.errors import RequestInvalid
from ..core.options import flag, optional_text, refuse_unknown
from .databases import require_fitting
from .dump_loading import LoadManner

#: The keys of a restore, beside ``connection``.
KEYS = (
    "database", "databases", "into", "in_place", "existing", "data_directory", "port", "start", "tables", "schemas",
    "jobs", "scratch_directory", "owners", "privileges", "roles", "tablespaces", "tolerate", "analyze",
)  # fmt: skip
_OF = "A restore of a logical dump"
_CLUSTER_ONLY = ("databases", "port", "start")
_DATABASE_ONLY = ("database", "into", "in_place", "existing", "tables", "schemas", "owners", "roles", "tablespaces")


@dataclass(frozen=True)
class DatabaseRestoreOptions:
    """One *database* of the backup, as *into*: a new one beside production, one that takes the place of the old one
    (*in_place*), or added to one that is there (*existing*).
    """

    database: str
    into: str
    manner: LoadManner
    in_place: bool = False
    existing: bool = False
    tables: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    roles: bool = False
    analyze: bool = True


@dataclass(frozen=True)
class ClusterRestoreOptions:
    """A whole new cluster in *data_directory*, with roles and *databases* (empty: all). It is started on *port*."""

    data_directory: str
    manner: LoadManner
    port: int = 5432
    start: bool = True
    databases: tuple[str, ...] = ()
    analyze: bool = True


RestoreOptions = t.Union[DatabaseRestoreOptions, ClusterRestoreOptions]


def restore_options_from(description: t.Mapping[str, t.Any]) -> RestoreOptions:
    """The options without ``connection``. Raises RequestInvalid for unknown keys and for what contradicts itself."""
    refuse_unknown(description, known=KEYS, of=_OF)
    given = {key: value for key, value in description.items() if value is not None}
    if "data_directory" in given:
        return _cluster(given)
    stray = [key for key in _CLUSTER_ONLY if key in given]
    if stray:
        raise RequestInvalid(
            f"{', '.join(stray)} is for a whole new cluster.", hint="Add data_directory, or leave it out."
        )
    database = optional_text(given, "database", of=_OF)
    if database is None:
        raise RequestInvalid(
            f"{_OF} needs the name of a database in the backup.",
            hint="Give database: NAME   (or data_directory: PATH for a whole new cluster).",
        )
    in_place, existing = flag(given, "in_place", of=_OF), flag(given, "existing", of=_OF)
    if in_place and existing:
        raise RequestInvalid(
            "in_place and existing are two ways to restore.",
            hint="in_place replaces the database by the dumped one, existing adds the dump's tables to it.",
        )
    into = optional_text(given, "into", of=_OF) or (database if in_place or existing else f"{database}_recovery")
    require_fitting(into)
    options = DatabaseRestoreOptions(
        database=database,
        into=into,
        in_place=in_place,
        existing=existing,
        tables=_texts(given, "tables"),
        schemas=_texts(given, "schemas"),
        roles=flag(given, "roles", of=_OF),
        analyze=_switch(given, "analyze"),
        manner=_manner(given),
    )
    if in_place and (options.tables or options.schemas):
        raise RequestInvalid(
            "in_place replaces the whole database, and tables or schemas restore a part of it.",
            hint="Restore the part beside it (leave in_place out), or into it with existing: true.",
        )
    if existing and options.manner.jobs > 1:
        raise RequestInvalid(
            "existing: true adds everything in one transaction, which is the work of one connection.",
            hint="Leave jobs out.",
        )
    if existing and options.manner.tolerate:
        raise RequestInvalid(
            "existing: true is one transaction: after an error nothing of it can stay.", hint="Leave tolerate out."
        )
    return options


def _cluster(given: t.Mapping[str, t.Any]) -> ClusterRestoreOptions:
    stray = [key for key in _DATABASE_ONLY if key in given]
    if stray:
        raise RequestInvalid(
            f"{', '.join(stray)} is for one database, and data_directory makes a whole new cluster.",
            hint="Give one or the other; databases names those that the cluster gets.",
        )
    path = optional_text(given, "data_directory", of=_OF) or ""
    if not os.path.isabs(path):
        raise RequestInvalid(f"data_directory {path!r} is not an absolute path.")
    return ClusterRestoreOptions(
        data_directory=os.path.normpath(path),
        port=_integer(given, "port", default=5432, most=65535),
        start=_switch(given, "start"),
        databases=_texts(given, "databases"),
        analyze=_switch(given, "analyze"),
        # A tablespace is a folder elsewhere; a new cluster beside the old one would fight for it.
        manner=_manner({**given, "tablespaces": False}),
    )


def _manner(given: t.Mapping[str, t.Any]) -> LoadManner:
    manner = LoadManner(
        owners=_switch(given, "owners"),
        privileges=_switch(given, "privileges"),
        tablespaces=_switch(given, "tablespaces"),
        jobs=_integer(given, "jobs", default=1, most=64),
        tolerate=_texts(given, "tolerate"),
        scratch_directory=optional_text(given, "scratch_directory", of=_OF) or "",
    )
    if manner.jobs > 1 and not manner.scratch_directory:
        raise RequestInvalid(
            "jobs is more than 1: the dump must then lie in a file, and scratch_directory is not given.",
            hint="Name a folder with room for the whole uncompressed dump, or leave jobs out.",
        )
    return manner


def _switch(given: t.Mapping[str, t.Any], key: str) -> bool:
    """A flag that is on by default."""
    return flag(given, key, of=_OF) if key in given else True


def _texts(given: t.Mapping[str, t.Any], key: str) -> tuple[str, ...]:
    value = given.get(key, ())
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not all(isinstance(one, str) and one for one in texts):
        raise RequestInvalid(f"{key} is {value!r}.", hint=f"Write a text or a list of texts: {key}: [one, two].")
    return tuple(texts)


def _integer(given: t.Mapping[str, t.Any], key: str, *, default: int, most: int) -> int:
    value = given.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise RequestInvalid(f"{key} is {value!r}.", hint=f"Use a number from 1 to {most}.")
    return value
