# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making collections, views and indexes on a target as an archive's metadata says."""

from __future__ import annotations

import concurrent.futures
import typing as t
from dataclasses import dataclass

from ..core.errors import LifeboatError, MongoLoadFailed
from ..core.parallel import wait_for
from ..core.signals import undisturbed
from .collection_metadata import CollectionMetadata
from .faults import UNAUTHORIZED, named_faults

if t.TYPE_CHECKING:
    from .connection import Client

WRITE_CONCERN: t.Mapping[str, t.Any] = {"w": "majority"}


@dataclass(frozen=True)
class MadeCollection:
    """One collection, view or time series to make: *name* is its own, not that of buckets."""

    database: str
    name: str
    metadata: CollectionMetadata

    @property
    def full_name(self) -> str:
        """``database.name``."""
        return f"{self.database}.{self.name}"


def create(client: Client, one: MadeCollection, *, preserve_uuid: bool = False) -> None:
    """Make a collection, view or time series with all its options; it must not be there yet.

    With *preserve_uuid* it gets the UUID that it had (applyOps, which needs the right to do anything). Raises
    MongoLoadFailed and MongoNotAuthorised.
    """
    from bson.binary import UUID_SUBTYPE, Binary

    command = {"create": one.name, **one.metadata.options}
    if preserve_uuid and one.metadata.uuid is not None:
        operation = {
            "op": "c",
            "ns": f"{one.database}.$cmd",
            "ui": Binary(one.metadata.uuid, UUID_SUBTYPE),
            "o": command,
        }
        _run(client, "admin", {"applyOps": [operation]}, doing=f"Creating {one.full_name} with its old UUID")
        return
    _run(client, one.database, {**command, "writeConcern": dict(WRITE_CONCERN)}, doing=f"Creating {one.full_name}")


def create_indexes(client: Client, database: str, name: str, indexes: t.Sequence[t.Mapping[str, t.Any]]) -> None:
    """Build all indexes of a collection in one pass over it. Raises MongoLoadFailed and MongoNotAuthorised."""
    if not indexes:
        return
    command = {
        "createIndexes": name,
        "indexes": [dict(index) for index in indexes],
        "ignoreUnknownIndexOptions": True,
        "writeConcern": dict(WRITE_CONCERN),
    }
    _run(client, database, command, doing=f"Building the indexes of {database}.{name}")


def at_once(actions: t.Sequence[t.Callable[[], None]], *, threads: int) -> None:
    """Run all, so many at a time; after the first error no further one is begun, and it is raised.

    Also when we are told to stop, those that were begun have ended before anything is raised.
    """
    with undisturbed():
        pool = concurrent.futures.ThreadPoolExecutor(max_workers=max(1, threads), thread_name_prefix="mongodb making")
    try:
        with undisturbed():
            left = {pool.submit(action) for action in actions}
        while left:
            ended = wait_for(left, first=True)
            left -= ended
            for one in ended:
                one.result()
    finally:
        with undisturbed():
            pool.shutdown(wait=True, cancel_futures=True)


def _run(client: Client, database: str, command: dict[str, t.Any], *, doing: str) -> None:
    try:
        with named_faults(doing, role="restore"):
            client[database].command(command)
    except LifeboatError as error:
        code = error.details.get("server_code")
        if code is None or code == UNAUTHORIZED:
            raise  # the connection, or the rights
        raise MongoLoadFailed(
            f"{doing} failed: {error.details.get('server_message', '')} (error {code}).",
            hint="The backup's server may know options that this one does not, or documents break an index; "
            "see the message.",
            details=error.details,
        ) from error
