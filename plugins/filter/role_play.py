# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters for applications that a role of the user's points at what has moved."""

from __future__ import annotations

import os
import sys
import typing as t

Json = t.Mapping[str, t.Any]

_ROOT = "ansible_collections"


def role_problems(applications: t.Sequence[Json], folders: t.Sequence[str], collections: t.Sequence[str]) -> list[str]:
    """Each role of *applications* that the controller does not have, as a sentence: known before anything is touched.

    *folders* are where roles without a collection are looked for, *collections* where those of collections are: beside
    the play, and by the configuration.
    """
    wanted = {str(one["role"]): str(one["name"]) for one in applications if one.get("role")}
    return [
        f"the role {role} of {name} is not there: {_advice(role, folders)}"
        for role, name in wanted.items()
        if not any(os.path.isdir(os.path.expanduser(path)) for path in _places(role, folders, collections))
    ]


def role_facts(plan: Json, application: Json, *, run: str) -> dict[str, t.Any]:
    """What the role of *application* is told: whose turn it is, and where the databases are that *plan* has moved."""
    facts = plan["facts"]
    return {
        "service": str(plan["service"]),
        "application": str(application["name"]),
        "host": str(application["host"]),
        "run": run,
        "databases": facts["addresses"] if "addresses" in facts else {str(plan["source"]): facts["address"]},
    }


def _advice(role: str, folders: t.Sequence[str]) -> str:
    if role.count(".") == 2:
        return f"install the collection {role.rpartition('.')[0]} on the controller"
    return f"put it into one of {', '.join(folders)} on the controller, or name it as NAMESPACE.COLLECTION.ROLE"


def _places(role: str, folders: t.Sequence[str], collections: t.Sequence[str]) -> t.Iterator[str]:
    yield from (os.path.join(folder, role) for folder in folders)
    if role.count(".") == 2:
        namespace, collection, name = role.split(".")
        # Collections may be installed as Python packages, too.
        for folder in (*collections, *sys.path):
            root = folder if os.path.basename(folder) == _ROOT else os.path.join(folder, _ROOT)
            yield os.path.join(root, namespace, collection, "roles", name)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"role_facts": role_facts, "role_problems": role_problems}
