# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module about sets asks the engine. Private to the collection."""

from __future__ import annotations

import typing as t

from ._engine.core.description.kinds import SET_KIND
from ._engine.core.state import StateDirectory
from ._engine.operations.catalog_requests import repository_requests, selection_from
from ._engine.operations.choosing import NEWEST_VERIFIED
from ._engine.operations.open_restores import restores_by_backup
from ._engine.operations.restore_values import RestoreRequest
from ._engine.operations.set_restore import plan_set_restore
from ._module import without_none

if t.TYPE_CHECKING:
    from ._engine.core.host import Host


def read_set(parameters: t.Mapping[str, t.Any], *, host: Host) -> dict[str, t.Any]:
    """The set that is wanted, each member with the restores of it that this host has notes of."""
    options = without_none(parameters)
    request = RestoreRequest(
        repositories=repository_requests(options["repositories"]),
        selection=selection_from({**options, "engine": "files", "kind": SET_KIND}),
        options={},
        point=options.get("point", NEWEST_VERIFIED),
        allow_failed=options["allow_failed"],
        state_directory=options["state_directory"],
    )
    plan = plan_set_restore(request, host=host)
    told = plan.as_dict()
    restores = restores_by_backup(StateDirectory(path=request.state_directory))
    members = [{**one, "restores": restores.get(one["id"], [])} for one in told["members"]]
    return {"name": plan.choice.manifest.folder.key("").rstrip("/"), **told, "members": members}
