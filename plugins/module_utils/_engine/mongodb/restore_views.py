# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Views: nothing but a definition, so those in the way are removed when their definitions are noted."""

from __future__ import annotations

import json
import typing as t

from ..core.errors import RestoreTargetInvalid
from .collection_making import MadeCollection, create
from .collection_metadata import CollectionMetadata
from .namespaces import VIEW
from .restore_commands import drop, rename
from .restore_names import RestoreNames
from .restore_target import Existing, existing_in

if t.TYPE_CHECKING:
    from .connection import Client

#: A view with its definition as canonical extended JSON, as it stands in the ledger.
NotedView = t.Mapping[str, t.Any]


def noted_view(database: str, name: str, options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """A view as it stands in the ledger."""
    from bson import json_util

    text = json_util.dumps(options, json_options=json_util.CANONICAL_JSON_OPTIONS)
    return {"database": database, "name": name, "definition": json.loads(text)}


def remove_views(client: Client, views: t.Sequence[NotedView]) -> None:
    """Remove those that are still as they were noted; what is not a view any more, or another one, is left."""
    there = _existing(client, views)
    for one in views:
        found = there[one["database"]].get(one["name"])
        if found is not None and _is_same(found, one):
            drop(client, one["database"], one["name"])


def make_views(client: Client, views: t.Sequence[NotedView], *, names: RestoreNames) -> None:
    """Make those that are not there. A collection that somebody made of the name meanwhile is moved aside.

    Raises RestoreTargetInvalid when another view or a time series has the name.
    """
    there = _existing(client, views)
    for one in views:
        database, name = str(one["database"]), str(one["name"])
        found = there[database].get(name)
        if found is not None and _is_same(found, one):
            continue
        if found is not None and not (
            found.can_be_renamed and rename(client, database, name, names.aside(name, prefix=names.between))
        ):
            raise RestoreTargetInvalid(
                f"Somebody made {found.full_name} in the middle of the restore, where a view belongs.",
                hint="Give it another name, stop who makes it, then go on: lifeboat restore --unfinished",
                details={"collection": found.full_name},
            )
        metadata = CollectionMetadata(options=_options(one))
        create(client, MadeCollection(database=database, name=name, metadata=metadata))


def _existing(client: Client, views: t.Sequence[NotedView]) -> dict[str, dict[str, Existing]]:
    return {database: existing_in(client, database) for database in {str(one["database"]) for one in views}}


def _is_same(found: Existing, noted: NotedView) -> bool:
    return (
        found.type == VIEW
        and noted_view(found.database, found.name, found.options)["definition"] == noted["definition"]
    )


def _options(noted: NotedView) -> t.Mapping[str, t.Any]:
    from bson import json_util

    options = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, tz_aware=False, document_class=dict)
    decoded: t.Mapping[str, t.Any] = json_util.loads(json.dumps(noted["definition"]), json_options=options)
    return decoded
