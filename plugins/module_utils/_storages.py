# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the option ``repositories`` to what opens them, for modules that carry no more of the engine than that.

Private to the collection.
"""

from __future__ import annotations

import typing as t

from ._engine.storage.registry import open_storage

if t.TYPE_CHECKING:
    from ._engine.core.host import Host
    from ._engine.storage.base import Storage


def storages_of(
    repositories: t.Sequence[t.Mapping[str, t.Any]] | None, *, host: Host, hasty: bool = False
) -> dict[str, Storage]:
    """The storage of each ``{name: ..., type: ..., ...}`` by its name, in their order. Raises RequestInvalid.

    *hasty*: one that does not answer is not waited for.
    """
    return {
        one["name"]: open_storage(
            {key: value for key, value in one.items() if key != "name"},
            name=one["name"],
            clock=host.clock,
            runner=host.runner,
            hasty=hasty,
        )
        for one in repositories or ()
    }
