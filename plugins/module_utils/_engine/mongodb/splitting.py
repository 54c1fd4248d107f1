# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cutting large collections into parts that are read at the same time, and putting the work into order."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import bson_bytes
from .faults import named_faults
from .namespaces import COLLECTION, Namespace
from .raw_reader import LAST_KEY, WHOLE, IdRange
from .reply import each_document, parse_reply

if t.TYPE_CHECKING:
    from .connection import Client

# Below this a part isn't worth its own cursor.
SMALLEST_PART = 256 * 1024 * 1024
_SAMPLES_PER_PART = 40
_OBJECT_ID = 0x07
_GROWING_TYPES = frozenset((_OBJECT_ID, bson_bytes.INT32, bson_bytes.INT64, bson_bytes.DOUBLE))


@dataclass(frozen=True)
class ReadTask:
    """One part of one namespace, read by one cursor."""

    namespace: Namespace
    part: IdRange = WHOLE


def parts_wanted(sizes: t.Sequence[int], *, parallel: int) -> tuple[int, ...]:
    """In how many parts to read collections of these sizes (bytes) so that *parallel* readers end together. Pure.

    A collection is cut when it is more than twice a fair share: otherwise one reader would still be at it when all
    others have nothing left to do. Not before, because reading along an index costs the server twice as much as
    reading in natural order (measured: 2.1 instead of 1.1 processor seconds a GB).
    """
    share = max(sum(sizes) // max(parallel, 1), 1)
    return tuple(
        min(parallel, -(-size // share), size // SMALLEST_PART)
        if parallel > 1 and size > 2 * share and size >= 2 * SMALLEST_PART
        else 1
        for size in sizes
    )


def plan_reads(client: Client, namespaces: t.Sequence[Namespace], *, parallel: int) -> tuple[ReadTask, ...]:
    """All reading of these namespaces, the largest first; parts of one collection stand together.

    That they stand together keeps no more than *parallel* collections begun and not ended at any time.
    """
    readable = sorted((one for one in namespaces if one.has_documents), key=lambda one: -one.size)
    tasks: list[ReadTask] = []
    for namespace, parts in zip(readable, parts_wanted([one.size for one in readable], parallel=parallel)):
        ranges = split(client, namespace, parts=parts) if parts > 1 and may_split(namespace) else (WHOLE,)
        tasks += [ReadTask(namespace=namespace, part=part) for part in ranges]
    return tuple(tasks)


def may_split(namespace: Namespace) -> bool:
    """Whether its _id index exists and orders values as the server's min and max do without more being said. Pure."""
    if namespace.type != COLLECTION or namespace.query is not None or namespace.is_capped:
        return False
    if "clusteredIndex" in namespace.options or "collation" in namespace.options:
        return False
    return any(index.get("name") == "_id_" for index in namespace.indexes)


def split(client: Client, namespace: Namespace, *, parts: int, any_type: bool = False) -> tuple[IdRange, ...]:
    """About *parts* ranges of about the same number of documents that cover all of the collection exactly once.

    Only where _id values grow with time (object ids and numbers): reading other keys in their order jumps all over the
    disk and is slower than one reader in natural order, so then (without *any_type*) it is one range.
    """
    samples = _sample_ids(client, namespace, size=parts * _SAMPLES_PER_PART)
    if not any_type and any(_id_type(sample) not in _GROWING_TYPES for sample in samples):
        return (WHOLE,)
    return ranges_between(cut_points(samples, parts=parts))


def cut_points(samples: t.Sequence[bytes], *, parts: int) -> tuple[bytes, ...]:
    """Up to ``parts - 1`` of the sorted *samples*, evenly spread, none twice. Pure."""
    if not samples:
        return ()
    chosen = (samples[number * len(samples) // parts] for number in range(1, parts))
    return tuple(dict.fromkeys(chosen))


def ranges_between(cuts: t.Sequence[bytes]) -> tuple[IdRange, ...]:
    """The ranges below, between and above the *cuts*, and the very last key; the whole without cuts. Pure."""
    if not cuts:
        return (WHOLE,)
    edges: list[bytes | None] = [None, *cuts, None]
    return (*(IdRange(lower=lower, upper=upper) for lower, upper in zip(edges, edges[1:])), LAST_KEY)


def _sample_ids(client: Client, namespace: Namespace, *, size: int) -> tuple[bytes, ...]:
    """Some of the collection's ``{_id: value}`` as BSON, in the order of its _id index."""
    from bson.codec_options import CodecOptions
    from bson.raw_bson import RawBSONDocument

    codec: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
    command = {
        "aggregate": namespace.source_name,
        "pipeline": [{"$sample": {"size": size}}, {"$project": {"_id": 1}}, {"$sort": {"_id": 1}}],
        "cursor": {"batchSize": size},
    }
    with named_faults(f"Sampling {namespace.full_name}"):
        raw = client[namespace.source_database].command(command, codec_options=codec).raw
    return tuple(each_document(parse_reply(raw).documents))


def _id_type(document: bytes) -> int:
    element = bson_bytes.find(document, b"_id")
    return element.type if element is not None else 0
