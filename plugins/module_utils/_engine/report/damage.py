# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was destroyed around a time, as people read it: each with the option that goes back to just before it."""

from __future__ import annotations

import typing as t

_SHOWN_SKIPS = 5


def damage_text(found: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """*found* are the dictionaries of :meth:`mongodb.oplog_damage.Damage.as_dict`."""
    if not found:
        return "nothing was dropped, renamed or changed in the mass in this time"
    return "\n".join(line for one in found for line in _lines(one))


def _lines(one: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    names = ", ".join(one["namespaces"])
    count = f", {one['count']} operations" if one["count"] > 1 else ""
    detail = f" ({one['detail']})" if one["detail"] else ""
    inside = ", in a transaction" if one["in_transaction"] else ""
    yield f"{one['time']}  {one['kind']} {names}{detail}{count}{inside}"
    yield f"    everything before it: --before-operation {one['before_operation']}"
    if one["samples"]:
        yield f"    for example _id {', '.join(str(sample) for sample in one['samples'])}"
    if one["skip"] and len(one["skip"]) <= _SHOWN_SKIPS:
        yield f"    everything but it:    {' '.join(f'--skip-op {skip}' for skip in one['skip'])}"
