# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Status documents of one or more hosts as one HTML page that needs nothing beside itself, and no script.

Every text of a document is escaped: names, messages and reasons may come from servers and repositories.
"""

from __future__ import annotations

import datetime
import html
import typing as t

from ..core.clock import format_time
from .status_cards import job_card, source_card, stream_card
from .status_style import STYLE
from .status_tables import problems_table, repositories_table, verifications_table

Json = t.Mapping[str, t.Any]
#: With more jobs than this on the page, charts show fewer backups.
_MANY_JOBS, _MANY, _FEW = 60, 30, 12
_FOOTER = (
    "Made by Lifeboat at {} from what the repositories hold and the hosts noted; no database was asked. "
    "Ages are as of then."
)


def status_page(hosts: t.Sequence[Json], *, now: datetime.datetime) -> str:
    """The page. *hosts* hold ``host``, ``status`` (a status document, or None) and ``error`` (why there is none)."""
    entries = [one for host in hosts for one in (host["status"] or {}).get("attention", ())]
    silent = [host for host in hosts if host["status"] is None]
    jobs = [job for host in hosts if host["status"] for job in (*host["status"]["jobs"], *host["status"]["streams"])]
    shown = _MANY if len(jobs) <= _MANY_JOBS else _FEW
    title = f"Backups of {hosts[0]['host']}" if len(hosts) == 1 else f"Backups of {len(hosts)} hosts"
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        # Nothing is loaded from anywhere, whatever a name tries to smuggle in.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{_safe(title)}</title><style>{STYLE}</style></head><body><main>",
        _header(title, entries, silent, now=now),
        _tiles(hosts, jobs, entries, silent),
        "".join(_host(host, several=len(hosts) > 1, shown=shown, now=now) for host in hosts),
        f"<footer>{_safe(_FOOTER.format(format_time(now.replace(microsecond=0))))}</footer></main></body></html>\n",
    ]
    return "".join(parts)


def _header(title: str, entries: t.Sequence[Json], silent: t.Sequence[Json], *, now: datetime.datetime) -> str:
    critical = sum(one["severity"] == "critical" for one in entries) + len(silent)
    if critical:
        badge = f'<span class="badge bad big">{critical} to look at now</span>'
    elif entries:
        badge = f'<span class="badge warn big">{len(entries)} to look at</span>'
    else:
        badge = '<span class="badge good big">All is well</span>'
    moment = now.strftime("%Y-%m-%d %H:%M:%S UTC")
    return f'<header><div><h1>{_safe(title)}</h1><p class="soft">{moment}</p></div>{badge}</header>'


def _tiles(hosts: t.Sequence[Json], jobs: t.Sequence[Json], entries: t.Sequence[Json], silent: t.Sequence[Json]) -> str:
    well = sum(job["state"] in ("ok", "running") and not job["overdue"] for job in jobs)
    sources = [one for host in hosts if host["status"] for one in host["status"]["sources"]]
    with_rpo = [one for one in sources if one["rpo"]["verdict"]]
    with_rto = [one for one in sources if one["rto"]["verdict"]]
    figures = [
        (f"{well} of {len(jobs)}", "jobs in order"),
        (str(sum(bool(job["overdue"]) for job in jobs)), "overdue"),
        (
            f"{sum(one['rpo']['verdict'] != 'missed' for one in with_rpo)} of {len(with_rpo)}",
            "sources lose little enough",
        ),
        (f"{sum(one['rto']['verdict'] == 'met' for one in with_rto)} of {len(with_rto)}", "proved to be back in time"),
    ]
    if len(hosts) > 1:
        figures.insert(0, (f"{len(hosts) - len(silent)} of {len(hosts)}", "hosts answered"))
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="card tile"><b>{value}</b><span class="soft small">{words}</span></div>'
            for value, words in figures
        )
        + "</div>"
    )


def _host(host: Json, *, several: bool, shown: int, now: datetime.datetime) -> str:
    heading = f"<h2>{_safe(host['host'])}</h2>" if several else ""
    status = host["status"]
    if status is None:
        return f'{heading}<ul class="attention"><li><b>Could not be asked.</b> {_safe(host["error"])}</li></ul>'
    level = "h3" if several else "h2"
    parts = [heading, _attention(status["attention"])]
    if status["sources"]:
        cards = "".join(source_card(one, now=now) for one in status["sources"])
        parts.append(f'<{level}>Objectives against facts</{level}><div class="stack">{cards}</div>')
    if status["jobs"]:
        cards = "".join(job_card(one, shown=shown, now=now) for one in status["jobs"])
        parts.append(f'<{level}>Backups</{level}><div class="stack">{cards}</div>')
    if status["streams"]:
        cards = "".join(stream_card(one, now=now) for one in status["streams"])
        parts.append(f'<{level}>Streams</{level}><div class="stack">{cards}</div>')
    table = verifications_table(status["sources"], now=now)
    if table:
        parts.append(f'<{level}>Last verifications</{level}><div class="card scroll">{table}</div>')
    if status["repositories"]:
        parts.append(
            f"<{level}>Repositories</{level}>"
            f'<div class="card scroll">{repositories_table(status["repositories"])}</div>'
        )
    if status["left_out"]:
        rows = problems_table(status["left_out"])
        parts.append(f'<{level}>Not made by this version</{level}><div class="card scroll">{rows}</div>')
    return "".join(parts)


def _attention(entries: t.Sequence[Json]) -> str:
    if not entries:
        return ""
    items = []
    for one in entries:
        hint = f'<br><span class="small">Next: <code>{_safe(one["hint"])}</code></span>' if one["hint"] else ""
        items.append(
            f'<li class="{_safe(one["severity"])}"><b>{_safe(one["what"])}</b>: {_safe(one["message"])}{hint}</li>'
        )
    return f'<ul class="attention">{"".join(items)}</ul>'


def _safe(text: t.Any) -> str:
    return html.escape(str(text), quote=True)
