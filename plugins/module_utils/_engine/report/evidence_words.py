# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single facts of a failover's record in words, the same in the text and on the page."""

from __future__ import annotations

import typing as t

from .text import format_seconds

Json = t.Mapping[str, t.Any]

_VERDICTS: t.Mapping[str, str] = {
    "trusted": "can be trusted",
    "incomplete": "not all could be seen",
    "untrusted": "can't be trusted",
}
_KINDS: t.Mapping[str, str] = {
    "promote-standby": "Promotion of a standby",
    "full-restore": "Full restore",
}


def verdict(proof: Json) -> str:
    """The verdict of a proof for people."""
    return _VERDICTS[str(proof["verdict"])]


def kind(record: Json) -> str:
    """What kind of failover it was; its own name where no better one is known."""
    return _KINDS.get(str(record["kind"]), str(record["kind"] or "failover").replace("-", " ").capitalize())


def objectives(figures: Json) -> list[tuple[str, str, str, str | None]]:
    """Name, what was measured, what was asked, and ``met``, ``missed`` or nothing where nobody knows."""
    asked: Json = figures.get("objectives") or {}
    counted = _inner(figures, "lost", "commits")
    seconds = _inner(figures, "stated", "loss_seconds")
    if counted is not None:
        loss = f"{counted} commits"
    elif seconds is not None:
        loss = f"at most {format_seconds(seconds)}"
    else:
        loss = "see below" if any(path.startswith("lost") for path, _text in statements(figures)) else "nobody knows"
    took = format_seconds(figures.get("recovery_seconds"))
    return [
        ("time to recover", took, f"RTO {asked.get('rto') or 'not set'}", _met(asked, "rto")),
        ("lost", loss, f"RPO {asked.get('rpo') or 'not set'}", _met(asked, "rpo")),
    ]


def statements(value: t.Any, path: str = "") -> list[tuple[str, str]]:
    """Every sentence of the figures that is called ``statement``, with its place: what was lost of which source."""
    if not isinstance(value, dict):
        return []
    found = [(path or "all", str(value["statement"]))] if isinstance(value.get("statement"), str) else []
    for key, inner in value.items():
        found += statements(inner, f"{path}.{key}" if path else str(key))
    return found


def flat(value: t.Any, path: str = "") -> list[tuple[str, str]]:
    """Nested values as rows: the path with dots, and the value in words."""
    if isinstance(value, dict) and value:
        return [row for key, inner in value.items() for row in flat(inner, f"{path}.{key}" if path else str(key))]
    if isinstance(value, (list, tuple)) and any(isinstance(one, (dict, list)) for one in value):
        return [row for place, inner in enumerate(value, start=1) for row in flat(inner, f"{path}.{place}")]
    return [(path, plain(value))]


def plain(value: t.Any) -> str:
    """One value as people write it."""
    if value is None or value in ({}, [], ""):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value))
    return str(value)


def _met(asked: Json, name: str) -> str | None:
    met = asked.get(f"{name}_met")
    return None if met is None else ("met" if met else "missed")


def _inner(figures: Json, key: str, name: str) -> t.Any:
    value = figures.get(key)
    return value.get(name) if isinstance(value, dict) else None
