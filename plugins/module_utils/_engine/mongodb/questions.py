# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking a MongoDB what a user wants to know: count, find and aggregate, without a way to change anything.

Filters and pipelines come from YAML or JSON; what these can't say stands in them as MongoDB Extended JSON:
``{$date: "2026-01-01T00:00:00Z"}``, ``{$oid: ...}``. Dates that YAML itself knows are taken as they are.
"""

from __future__ import annotations

import datetime
import itertools
import typing as t

from ..core.errors import QuestionFailed
from ..recovery.questions import Answer, Question

if t.TYPE_CHECKING:
    from .connection import Client

WAYS = ("count", "find", "aggregate")
_MILLISECONDS = 600_000  # a question that takes longer than ten minutes is asked in a wrong way
_KEYS = {
    "count": ("database", "collection", "filter"),
    "find": ("database", "collection", "filter"),
    "aggregate": ("database", "collection", "pipeline"),
}
# Values of Extended JSON that have one key; $regex is an operator, too, and stays one.
_EXTENDED = frozenset(
    ("$oid", "$date", "$uuid", "$binary", "$numberInt", "$numberLong", "$numberDouble", "$numberDecimal", "$timestamp")
)
_WRITING = frozenset(("$out", "$merge"))
_VALUE = "value"
# What the driver raises for values that are none: dates that can't be, ids of a wrong length.
_UNREADABLE = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)


def answer(question: Question, *, client: Client, database: str | None) -> Answer:
    """The answer to one question; *database* is asked where the question names none.

    count gives a number, find 1 or 0, aggregate the field ``value`` of the one document that the pipeline gives (None
    when it gives none). Raises QuestionFailed, which names the question.
    """
    import bson.errors
    import pymongo.errors

    if question.way not in WAYS:
        raise _failed(question, f"MongoDB can't be asked by {question.way}", hint=f"Ask by one of {', '.join(WAYS)}.")
    asked = _mapping(question)
    name = asked.get("database") or question.database or database
    if not name:
        raise _failed(question, "it does not say in which database", hint="Give it a database.")
    collection = str(asked["collection"])
    try:
        if not client[name].list_collection_names(filter={"name": collection}):
            raise _failed(question, f"there is no collection {name}.{collection}", hint="Check the spelling.")
        if question.way == "aggregate":
            return _aggregated(question, client, name, collection, asked)
        matching = _extended(asked.get("filter") or {})
        options: dict[str, t.Any] = {"maxTimeMS": _MILLISECONDS}
        if question.way == "find":
            options["limit"] = 1
        return int(client[name][collection].count_documents(matching, **options))
    except (pymongo.errors.PyMongoError, bson.errors.BSONError, *_UNREADABLE) as error:
        raise _failed(question, f"MongoDB says: {str(error)[:500]}", hint="Try it in mongosh.") from error


def _aggregated(
    question: Question, client: Client, database: str, collection: str, asked: t.Mapping[str, t.Any]
) -> Answer:
    pipeline = asked.get("pipeline")
    if isinstance(pipeline, (str, t.Mapping)) or not isinstance(pipeline, t.Sequence):
        raise _failed(question, "its pipeline is no list of stages", hint='Write it like [{$count: "value"}].')
    writing = sorted(_stages(pipeline) & _WRITING)
    if writing:
        raise _failed(question, f"its pipeline writes ({', '.join(writing)})", hint="Questions only read.")
    with client[database][collection].aggregate(_extended(pipeline), maxTimeMS=_MILLISECONDS) as cursor:
        found = list(itertools.islice(cursor, 2))
    if not found:
        return None
    if len(found) > 1:
        raise _failed(
            question, "its pipeline gives more than one document", hint='End it with {$count: "value"} or a $group.'
        )
    if _VALUE not in found[0]:
        raise _failed(
            question,
            f"what its pipeline gives has no field value (it has: {', '.join(map(str, found[0])) or 'none'})",
            hint='End it with {$count: "value"}, or name the result value.',
        )
    return _plain(question, found[0][_VALUE])


def _plain(question: Question, value: t.Any) -> Answer:
    """As a number, text, truth value or None."""
    import bson

    if isinstance(value, bson.Decimal128):
        return float(value.to_decimal())
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)  # plain, where the driver has a type of its own for 64 bits
    if isinstance(value, float):
        return value
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    if isinstance(value, bson.ObjectId):
        return str(value)
    raise _failed(question, f"its value is a {type(value).__name__}", hint="A value is a number, a text or a flag.")


def _mapping(question: Question) -> t.Mapping[str, t.Any]:
    asked = question.what
    if not isinstance(asked, t.Mapping):
        raise _failed(
            question, f"{question.way} is no mapping", hint=f"Write it like {question.way}: {{collection: users}}."
        )
    unknown = sorted(str(key) for key in asked if key not in _KEYS[question.way])
    if unknown:
        known = ", ".join(_KEYS[question.way])
        raise _failed(question, f"{question.way} has no option {', '.join(unknown)}", hint=f"Known: {known}.")
    for key in ("collection", "database"):
        value = asked.get(key)
        if (key == "collection" or value is not None) and (not isinstance(value, str) or not value):
            raise _failed(question, f"its {key} is {value!r}", hint=f"Give the {key}'s name.")
    if not isinstance(asked.get("filter") or {}, t.Mapping):
        raise _failed(question, "its filter is no mapping", hint="Write it like {active: true}.")
    return asked


def _extended(value: t.Any) -> t.Any:
    """The same with Extended JSON's values in place of what stands for them."""
    from bson import json_util

    if isinstance(value, t.Mapping):
        if len(value) == 1 and next(iter(value)) in _EXTENDED:
            return json_util.object_hook(dict(value))
        return {key: _extended(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_extended(inner) for inner in value]
    return value


def _stages(pipeline: t.Any) -> set[str]:
    """Every key of a pipeline, those inside of $facet and $lookup included."""
    if isinstance(pipeline, t.Mapping):
        return set(map(str, pipeline)).union(*map(_stages, pipeline.values()))
    if isinstance(pipeline, (list, tuple)):
        return set().union(*map(_stages, pipeline))
    return set()


def _failed(question: Question, what: str, *, hint: str) -> QuestionFailed:
    return QuestionFailed(
        f"The question {question.name} can't be asked: {what}.", hint=hint, details={"question": question.name}
    )
