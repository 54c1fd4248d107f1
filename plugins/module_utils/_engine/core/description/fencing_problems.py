# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can't be meant about the witness among the ways of fencing."""

from __future__ import annotations

import datetime
import typing as t

from ..errors import DurationInvalid
from .duration import parse_duration
from .problems import Problem
from .reading import Entry, entries, mapping, text_at
from .version_control import is_version_control

#: Shorter ones end by one slow answer; and a server must have time to stop in.
SHORTEST = datetime.timedelta(seconds=10)
_ENGINES = ("postgresql", "redis")


def fencing_problems(source: Entry, repositories: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    """One witness at most, of a server that can be stopped, in a repository that gets the ledgers of its failovers."""
    fencing, path = mapping(source.data.get("fencing")), (*source.path, "fencing")
    witnesses = [
        Entry((*one.path, "witness"), mapping(one.data["witness"]))
        for one in entries(fencing, path, "methods")
        if "witness" in one.data
    ]
    for one in witnesses[1:]:
        yield Problem(one.path, "is the second witness of the source.", "One server holds one lease: keep one of them.")
    for one in witnesses[:1]:
        yield from _witness(one, source, repositories)


def _witness(witness: Entry, source: Entry, repositories: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    engine = text_at(source.data, "engine")
    if engine is not None and engine not in _ENGINES:
        yield Problem(
            witness.path,
            f"is for {' and '.join(_ENGINES)}, not for {engine}.",
            "Fence it on its host or by a command; a replica set of MongoDB elects by itself.",
        )
    if engine == "postgresql" and not text_at(mapping(source.data.get("fencing")), "data_directory"):
        yield Problem(
            witness.path,
            "needs fencing.data_directory: by it the one who renews knows a primary from a standby.",
            "Name the data folder of the primary on its host.",
        )
    if not mapping(source.data.get("service_control")):
        yield Problem(
            witness.path,
            "needs service_control of the source: a server whose lease can't be renewed is stopped by it.",
            "Describe its unit: service_control: {unit: postgresql@15-main}",
        )
    repository = text_at(witness.data, "repository")
    if repository is not None and is_version_control(mapping(repositories.get(repository))):
        yield Problem(
            (*witness.path, "repository"), f"{repository!r} holds configuration and code.", "Name a file or s3 one."
        )
    elif repository is not None and repository not in _used(source):
        yield Problem(
            (*witness.path, "repository"),
            f"no backup of the source is stored in {repository!r}, so no ledger of its failovers is there.",
            "Name one of the repositories of its backups, or add it to those of a backup.",
        )
    lease = text_at(witness.data, "lease")
    try:
        if lease is not None and parse_duration(lease) < SHORTEST:
            yield Problem((*witness.path, "lease"), f"{lease} is too short.", "Write 10s or more; 30s is usual.")
    except DurationInvalid:
        return  # the schema says so


def _used(source: Entry) -> t.Iterator[str | None]:
    for backup in entries(source.data, source.path, "backups"):
        listed = backup.data.get("repositories")
        for item in listed if isinstance(listed, list) else ():
            yield text_at(item, "name") if isinstance(item, dict) else str(item)
