# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of the module about a drill's place to the engine. Private to the collection."""

from __future__ import annotations

import typing as t

from ._engine.failover.drill_place import make_place, remove_place
from ._module import as_change

if t.TYPE_CHECKING:
    from ._engine.core.host import Host

Options = t.Mapping[str, t.Any]


def have_place(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    """It is there, or it is not."""
    path, away = str(options["path"]), [str(one) for one in options["keep_away"]]
    if options["state"] == "absent":
        gone = remove_place(path, keep_away=away, host=host, check=check)
        diff = as_change("a drill's place", "nothing", changed=gone.removed)
        return {"changed": gone.removed, "diff": diff, "place": gone.as_dict()}
    made = make_place(
        path,
        count=int(options["ports"]),
        avoid=frozenset(int(one) for one in options["avoid"]),
        keep_away=away,
        first_port=options.get("first_port"),
        check=check,
    )
    return {"changed": True, "diff": as_change("nothing", "a drill's place", changed=True), "place": made.as_dict()}
