# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A collection's options and indexes as mongodump writes them: canonical extended JSON."""

from __future__ import annotations

import typing as t


def metadata_text(
    *,
    options: t.Mapping[str, t.Any],
    indexes: t.Sequence[t.Mapping[str, t.Any]],
    uuid: str | None,
    name: str,
    type_name: str,
) -> str:
    """The metadata of one collection, in mongodump's order of keys and without spaces.

    Canonical means that every number says its type, so that 1 and 1.0 in a validator stay what they are:
    https://www.mongodb.com/docs/manual/reference/mongodb-extended-json/
    """
    from bson import json_util

    document: dict[str, t.Any] = {}
    if options:
        document["options"] = options
    document["indexes"] = list(indexes)
    if uuid and type_name != "timeseries":
        document["uuid"] = uuid
    document["collectionName"] = name
    if type_name:
        document["type"] = type_name
    return json_util.dumps(
        document, json_options=json_util.CANONICAL_JSON_OPTIONS, separators=(",", ":"), ensure_ascii=False
    )
