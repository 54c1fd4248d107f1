# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a step of a drill could touch what people use. Pure: the step against what is described of production.

It is asked twice: when the drill is planned, and again before each step is taken.
"""

from __future__ import annotations

import posixpath
import typing as t

from .plan import DNS, DRILL_KINDS, Json

_MEANS = ("in_place", "service_control", "restart", "unit", "stop_command", "start_command")


def drill_objections(step: Json, production: Json) -> list[str]:
    """Why the step must not be taken, as sentences; none: it touches nothing of *production*.

    *production* has the ``ports``, ``folders``, ``names`` and ``units`` of the description, wherever they are.
    """
    name, kind, options = str(step["name"]), str(step["kind"]), step.get("options") or {}
    if kind not in DRILL_KINDS:
        return [f"{name} is a step {kind!r}, which promises nothing for drills"]
    found = [f"{name} names the port {port}, where production listens" for port in _ports(options, production)]
    folder = str(options.get("data_directory") or "")
    found += [
        f"{name} would write into {folder}, and {own} is production's"
        for own in production["folders"]
        if folder and overlaps(folder, str(own))
    ]
    found += [
        f"{name} says {key}, and a drill replaces, stops and restarts nothing" for key in _MEANS if options.get(key)
    ]
    units = {str(one) for one in production["units"]}
    found += [f"{name} names the unit {one}, which is production's" for one in sorted(units & set(_texts(options)))]
    if kind == DNS:
        found += _of_name(name, options.get("record") or {}, production)
    return found


def _of_name(step: str, record: Json, production: Json) -> t.Iterator[str]:
    own = record.get("drill")
    if not own:
        return  # then only the right to change it is tried
    names = {_plain(one) for one in production["names"]}
    if _plain(own.get("name")) in names or _plain(own.get("name")) == _plain(record.get("name")):
        yield f"{step} would move {own['name']}, which people use: a drill has a name of its own (dns: drill: name)"
    command = str(record.get("command") or "")
    if record.get("provider") == "command" and "{name}" not in command:
        yield f"{step} would run {command!r}, which does not take the name that it is to move: add {{name}}"


def _ports(options: Json, production: Json) -> list[int]:
    port = options.get("port")
    known = {int(one) for one in production["ports"]}
    return [int(port)] if port is not None and int(port) in known else []


def overlaps(one: str, other: str) -> bool:
    """Whether one folder is the other one, or inside it."""
    first, second = (posixpath.normpath(path) + "/" for path in (one, other))
    return first.startswith(second) or second.startswith(first)


def _plain(name: t.Any) -> str:
    return str(name or "").rstrip(".").lower()


def _texts(value: t.Any) -> t.Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, t.Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)
