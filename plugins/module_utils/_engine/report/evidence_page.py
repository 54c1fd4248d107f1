# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The evidence of a failover as one HTML page that needs nothing beside itself, and no script.

Every text is escaped: results and messages come from servers, and whoever can write to a repository wrote the ledger.
"""

from __future__ import annotations

import datetime
import html
import typing as t

from ..core.clock import format_time, parse_time
from ..core.version import VERSION
from . import evidence_words as words
from .status_style import STYLE
from .text import format_seconds

Json = t.Mapping[str, t.Any]

_STYLE = (
    STYLE
    + """
.line{height:14px;min-width:160px;margin-top:4px}.facts .long{grid-column:1/-1}.line rect{rx:2px}
h3 .badge{margin-left:6px}
.steps .card{padding:12px 16px}
details{margin-top:8px}summary{cursor:pointer;color:var(--soft);font-size:.85rem}
.hash{color:var(--soft);font-size:.8rem;overflow-wrap:anywhere;margin-top:6px}
.plain li{margin:2px 0}.plain{margin:6px 0 0;padding-left:18px}
td code{font-size:.8em}td.wide{width:40%}
@media (max-width:560px){td.wide{width:auto}.line{min-width:120px;width:150px}
table.fold td>span{min-width:0;overflow-wrap:anywhere}}
@media print{details>*{display:block}summary{display:none}.line .track{fill:#eee}}
"""
)
_TOLD_ABOVE = ("lost", "stated", "objectives", "format", "format_version", "plan_sha256", "last_entry_sha256")
_COLOURS: t.Mapping[str, str] = {
    "done": "good",
    "complete": "good",
    "met": "good",
    "trusted": "good",
    "intended": "warn",
    "open": "warn",
    "incomplete": "warn",
    "not begun": "",
    "abandoned": "warn",
    "complete-with-exceptions": "warn",
}


def evidence_page(record: Json, proof: Json, *, now: datetime.datetime) -> str:
    """The page. *record* is of ``failover/record.py``, *proof* of ``failover/proof.py``, both as JSON values."""
    title = f"{words.kind(record)}: {record['service']}, {record['run']}"
    figures = record["figures"]
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{_safe(title)}</title><style>{_STYLE}</style></head><body><main>",
        _header(title, record, proof),
        _doubts(proof["doubts"]),
        _tiles(record, figures),
        _lost(figures),
        "<h2>Timeline</h2>" + _timeline(record),
        "<h2>Who confirmed what</h2>" + _confirmed(record),
        "<h2>Steps</h2>" + _steps(record["steps"]),
        "<h2>What it rested on</h2>" + _facts_card(record),
        "<h2>Ledger</h2>" + _ledger(record, proof),
        _footer(record, proof, now=now),
        "</main></body></html>\n",
    ]
    return "".join(parts)


def _header(title: str, record: Json, proof: Json) -> str:
    until = _moment(record["ended"]) if record["ended"] else "now, it is open"
    badges = _badge(record["state"], big=True) + _badge(proof["verdict"], words.verdict(proof), big=True)
    return (
        f'<header><div><h1>{_safe(title)}</h1><p class="soft">{_safe(_moment(record["opened"]))} to {_safe(until)}</p>'
        f"</div><span>{badges}</span></header>"
    )


def _doubts(doubts: t.Sequence[Json]) -> str:
    if not doubts:
        return ""
    items = "".join(
        f'<li class="{"critical" if one["grave"] else "warning"}"><b>{_safe(one["code"])}</b> '
        f"{_safe(one['where'])}: {_safe(one['message'])}</li>"
        for one in doubts
    )
    return f'<ul class="attention">{items}</ul><br>'


def _tiles(record: Json, figures: Json) -> str:
    done = sum(one["state"] == "done" for one in record["steps"])
    tiles = [
        (said, f"{name}, {_safe(asked)} {_badge(met) if met else ''}")
        for name, said, asked, met in words.objectives(figures)
        if figures
    ]
    tiles.append((f"{done} of {len(record['steps'])}", "steps done"))
    tiles.append((format_seconds(record["seconds"]), "from the first entry to the last"))
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="card tile"><b>{_safe(value)}</b><span class="soft small">{name}</span></div>'
            for value, name in tiles
        )
        + "</div>"
    )


def _lost(figures: Json) -> str:
    told = words.statements(figures)
    if not told:
        return ""
    items = "".join(_fact(path, text) for path, text in told)
    return f'<h2>What was lost</h2><section class="card"><dl class="facts">{items}</dl></section>'


def _timeline(record: Json) -> str:
    moments = [
        parse_time(moment)
        for step in record["steps"]
        for one in step["attempts"]
        for moment in (one["began"], one["ended"])
        if moment
    ]
    if not moments:
        return '<p class="soft">No step was begun.</p>'
    begin, whole = min(moments), max((max(moments) - min(moments)).total_seconds(), 0.001)
    rows = []
    for step in record["steps"]:
        began = f"+{format_seconds((parse_time(step['began']) - begin).total_seconds())}" if step["began"] else "-"
        rows.append(
            [
                _safe(step["name"]),
                _safe(step["on"] or "-"),
                _line(step, begin=begin, whole=whole),
                _safe(began),
                _safe(format_seconds(step["seconds"])),
                _badge(step["state"]),
            ]
        )
    return (
        '<div class="card scroll">' + _table(("Step", "On", "When", "Began", "Took", "State"), rows, wide=2) + "</div>"
    )


def _line(step: Json, *, begin: datetime.datetime, whole: float) -> str:
    parts = ['<svg class="line" viewBox="0 0 1000 14" preserveAspectRatio="none" role="img">']
    parts.append(f"<title>{_safe(step['name'])}</title>")
    parts.append('<rect class="track" y="6" width="1000" height="2"/>')
    for one in step["attempts"]:
        start = (parse_time(one["began"]) - begin).total_seconds() / whole * 1000
        end = (parse_time(one["ended"]) - begin).total_seconds() / whole * 1000 if one["ended"] else start
        width = max(end - start, 8.0)
        colour = _COLOURS.get(str(one["state"]), "bad") or "bar"
        parts.append(
            f'<rect class="{colour}" x="{min(start, 1000 - width):.1f}" y="1" width="{width:.1f}" height="12"/>'
        )
    return "".join([*parts, "</svg>"])


def _confirmed(record: Json) -> str:
    rows = []
    for one in record["confirmed"]:
        more = ", ".join(f"{key} {value}" for key, value in words.flat(one["more"])) if one["more"] else ""
        rows.append(
            [
                _safe(one["event"]),
                _safe(one["by"]),
                _safe(_moment(one["at"])),
                f"<code>{_safe(one['plan_sha256'] or '-')}</code>" + (f"<br>{_safe(more)}" if more else ""),
            ]
        )
    for approval in record["approvals"]:
        who, what, at = (approval[key] or "-" for key in ("by", "plan_sha256", "at"))
        rows.append(["approved", _safe(who), _safe(_moment(str(at))), f"<code>{_safe(what)}</code>"])
    return '<div class="card scroll">' + _table(("What", "Who", "When", "Hash of the plan"), rows) + "</div>"


def _steps(steps: t.Sequence[Json]) -> str:
    return '<div class="stack steps">' + "".join(map(_step, steps)) + "</div>"


def _step(step: Json) -> str:
    badges = _badge(step["state"])
    if step["irreversible"]:
        badges += _badge("bad", "no way back")
    if not step["vital"]:
        badges += _badge("not begun", "may fail")
    messages = "".join(
        f"<li>{_safe(_moment(one['ended'] or one['began']))}: {_safe(one['message'])}</li>"
        for one in step["attempts"]
        if one["message"]
    )
    result = ""
    if step["result"]:
        rows = "".join(_fact(path, text) for path, text in words.flat(step["result"]))
        result = f'<details open><summary>Output</summary><dl class="facts">{rows}</dl></details>'
    hashes = ""
    if step["result_sha256"]:
        hashes = (
            f'<p class="hash">Output <code>{_safe(step["result_sha256"])}</code><br>'
            f"Entry <code>{_safe(step['entry_sha256'])}</code></p>"
        )
    return (
        f'<section class="card"><div class="head"><h3>{_safe(step["name"])}</h3><span>{badges}</span></div>'
        f"<p>{_safe(step['what'] or '')}</p>"
        + (f'<ul class="plain small">{messages}</ul>' if messages else "")
        + result
        + hashes
        + "</section>"
    )


def _facts_card(record: Json) -> str:
    plan = record["plan"]
    shown = {key: value for key, value in record["figures"].items() if key not in _TOLD_ABOVE}
    groups = [
        ("Plan", {key: value for key, value in plan.items() if key != "facts"}),
        ("Facts of the plan", plan["facts"]),
        ("Figures", shown),
        ("Versions", record["versions"]),
    ]
    parts = []
    for name, values in groups:
        rows = words.flat(values) if values else []
        if rows:
            cells = "".join(_fact(key, text) for key, text in rows)
            parts.append(f'<section class="card"><h3>{name}</h3><br><dl class="facts">{cells}</dl></section>')
    return f'<div class="stack">{"".join(parts)}</div>'


def _ledger(record: Json, proof: Json) -> str:
    rows = [
        [
            str(one["number"]),
            _safe(_moment(one["at"])),
            _safe(one["event"]),
            _safe(one["step"] or "-"),
            _safe(one["by"]),
            f"<code>{_safe(one['sha256'])}</code>",
        ]
        for one in record["entries"]
    ]
    copies = ", ".join(f"{_safe(name)} ({count})" for name, count in proof["copies"].items()) or "no repository"
    return (
        f'<p class="soft small">Copies in {copies}. Each entry has the hash of the one before it.</p><br>'
        f'<div class="card scroll">{_table(("No", "When", "What", "Step", "By", "SHA-256"), rows)}</div>'
    )


def _footer(record: Json, proof: Json, *, now: datetime.datetime) -> str:
    command = f"lifeboat evidence verify {record['service']} {record['run']} --sha256 {proof['last_sha256']}"
    return (
        f"<footer>Made by Lifeboat {_safe(VERSION)} at {_safe(format_time(now.replace(microsecond=0)))} from the "
        f"repositories alone. Look again: <code>{_safe(command)}</code></footer>"
    )


def _table(columns: t.Sequence[str], rows: t.Sequence[t.Sequence[str]], *, wide: int | None = None) -> str:
    """*rows* are of HTML that is safe already."""
    head = "".join(f"<th>{_safe(name)}</th>" for name in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-name="{_safe(name)}"{" class=wide" if place == wide else ""}><span>{cell}</span></td>'
            for place, (name, cell) in enumerate(zip(columns, row))
        )
        + "</tr>"
        for row in rows
    )
    return f'<table class="fold"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _badge(state: str, text: str | None = None, *, big: bool = False) -> str:
    return f'<span class="badge {_COLOURS.get(state, "bad")}{" big" if big else ""}">{_safe(text or state)}</span>'


def _fact(path: str, text: str) -> str:
    long = ' class="long"' if len(text) > 48 else ""
    return f"<div{long}><dt>{_safe(_title(path))}</dt><dd>{_safe(text)}</dd></div>"


def _title(path: str) -> str:
    return path.replace("_", " ").replace(".", " · ")


def _moment(text: str) -> str:
    return text[:19].replace("T", " ") + " UTC" if text.endswith("Z") else text


def _safe(text: t.Any) -> str:
    return html.escape(str(text), quote=True)
