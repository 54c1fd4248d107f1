# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of the status page; on a phone each row becomes a small list."""

from __future__ import annotations

import datetime
import html
import typing as t

from . import status_words as words
from .status_cards import badge
from .text import format_seconds

Json = t.Mapping[str, t.Any]


def verifications_table(sources: t.Sequence[Json], *, now: datetime.datetime) -> str:
    """The last ones of each source; nothing when there is none."""
    rows = [
        [
            _safe(f"{source['source']}/{one['kind']}"),
            f"<code>{_safe(one['backup'])}</code>",
            badge(words.verification(one), "ok" if one["state"] == "passed" else "failed")
            + (f'<br><span class="small">{_safe(one["reason"])}</span>' if one["reason"] else ""),
            _safe(words.when(one["finished"], now=now)),
            _safe(format_seconds(one["recovery_seconds"])),
            _safe(one["host"]),
        ]
        for source in sources
        for one in source["verifications"]
    ]
    return _table(("Backup of", "Id", "Result", "When", "Recovered in", "Where"), rows) if rows else ""


def repositories_table(repositories: t.Sequence[Json]) -> str:
    """Each with whether it answers."""
    rows = [
        [
            _safe(one["name"]),
            f"<code>{_safe(one['url'])}</code>",
            badge("reachable", "ok") if one["reachable"] else badge("unreachable", "failed"),
            _safe((one["error"] or {}).get("message") or "-"),
        ]
        for one in repositories
    ]
    return _table(("Name", "Where", "State", "Error"), rows)


def problems_table(jobs: t.Sequence[Json]) -> str:
    """Jobs that are left out, and why."""
    return _table(("Job", "Why"), [[_safe(one["job"]), _safe(one["reason"])] for one in jobs])


def _table(columns: t.Sequence[str], rows: t.Sequence[t.Sequence[str]]) -> str:
    """*rows* are of HTML that is safe already."""
    head = "".join(f"<th>{_safe(name)}</th>" for name in columns)
    body = "".join(
        "<tr>"
        + "".join(f'<td data-name="{_safe(name)}"><span>{cell}</span></td>' for name, cell in zip(columns, row))
        + "</tr>"
        for row in rows
    )
    return f'<table class="fold"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _safe(text: t.Any) -> str:
    return html.escape(str(text), quote=True)
