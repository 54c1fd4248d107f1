# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Indexes and sizes of collections: what the archive's metadata and the plan of reading need on top of names."""

from __future__ import annotations

import dataclasses
import typing as t

from .faults import UNAUTHORIZED, named_faults
from .namespaces import TIME_SERIES, VIEW, Namespace, faithful_codec

if t.TYPE_CHECKING:
    from .connection import Client

# Errors of $collStats that only mean that the size is not known: no such collection yet, or not for this user.
_UNKNOWN_SIZE = frozenset((UNAUTHORIZED, 26, 166))


def with_details(client: Client, namespaces: t.Sequence[Namespace]) -> tuple[Namespace, ...]:
    """The same namespaces with their indexes and sizes. Raises MongoNotAuthorised."""
    detailed: list[Namespace] = []
    for one in namespaces:
        if one.type == VIEW or not one.has_metadata:
            detailed.append(one)
            continue
        with named_faults(f"Reading the indexes of {one.full_name}"):
            collection = client.get_database(one.database, codec_options=faithful_codec())[one.name]
            indexes = tuple(dict(index) for index in collection.list_indexes())
        size, count = _size(client, one)
        detailed.append(dataclasses.replace(one, indexes=indexes, size=size, count=count))
    return tuple(detailed)


def _size(client: Client, one: Namespace) -> tuple[int, int]:
    """Bytes and documents by the server's estimate; zeros when it doesn't tell."""
    from pymongo.errors import OperationFailure

    try:
        # A time series is asked by its own name: monitors may not ask for system.buckets.
        with client[one.database][one.name].aggregate([{"$collStats": {"storageStats": {}}}]) as cursor:
            statistics = next(iter(cursor), {}).get("storageStats", {})
    except OperationFailure as error:
        if error.code in _UNKNOWN_SIZE:
            return 0, 0
        with named_faults(f"Measuring {one.full_name}", role="clusterMonitor"):
            raise
    count = statistics.get("count", 0)
    if one.type == TIME_SERIES:
        count = statistics.get("timeseries", {}).get("bucketCount", count)
    return int(statistics.get("size", 0)), int(count or 0)
