# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cards of the status page: one for each source, job and stream."""

from __future__ import annotations

import datetime
import html
import typing as t

from . import status_words as words
from .status_charts import Bar, bars, meter
from .text import format_bytes, format_seconds

Json = t.Mapping[str, t.Any]

_COLOURS: t.Mapping[str, str] = {
    "ok": "good",
    "met": "good",
    "running": "info",
    "partial": "warn",
    "late": "warn",
    "unknown": "warn",
    "short": "warn",
}


def source_card(source: Json, *, now: datetime.datetime) -> str:
    """Objectives against facts."""
    facts = [
        ("Lost if it were lost now", words.against(source["rpo"]), _meter(source["rpo"], "rpo")),
        ("Back again in", words.against(source["rto"]), _meter(source["rto"], "rto")),
        ("Newest moment", words.when(source["rpo"]["point"], now=now), ""),
        ("By", source["rpo"]["by"] or "-", ""),
    ]
    if source["window"]["windows"] or source["window"]["verdict"]:
        facts.append(("Any moment of the last", words.against(source["window"]), ""))
        begins, ends = (words.when(source["window"][key], now=now) for key in ("begins", "ends"))
        facts.append(("Window", f"{begins} to {ends}", ""))
    verdicts = [source[key]["verdict"] for key in ("rpo", "rto") if source[key]["verdict"]]
    badges = "".join(
        badge(f"{key} {source[key]['verdict']}", source[key]["verdict"])
        for key in ("rpo", "rto")
        if source[key]["verdict"]
    )
    return _card(source["source"], badges if verdicts else "", facts)


def job_card(job: Json, *, shown: int, now: datetime.datetime) -> str:
    """One job with its charts."""
    newest = job["newest"]
    facts = [
        ("Last success", words.when(job["last_success"], now=now), ""),
        ("Size", _size(job) if newest else "-", ""),
        ("Took", format_seconds(job["seconds"]), ""),
        ("Verified", words.verified(job["verified"]), ""),
        ("Next run", words.when(job["next_run"], now=now), ""),
        ("Schedule", job["schedule"] or "-", ""),
        ("Backups", str(job["backups"]), ""),
        ("In", ", ".join(job["repositories"]), ""),
    ]
    forecast = (job["recovery"] or {}).get("forecast")
    if forecast:
        facts.append(("Recovery takes", f"{format_seconds(forecast['seconds'])} ({forecast['count']} measured)", ""))
    kept = f'<p class="note">Kept: {_safe(job["keep"])}.</p>' if job["keep"] else ""
    return _card(job["job"], _state_badges(job), facts, _charts(job["history"][-shown:]) + kept)


def _size(job: Json) -> str:
    change = f" ({words.change(job['change'])})" if job["change"] else ""
    return f"{format_bytes(job['stored_bytes'])}{change}"


def stream_card(stream: Json, *, now: datetime.datetime) -> str:
    """One stream."""
    spool = stream["spool"]
    facts = [
        ("Stored until", words.when(stream["stored_until"], now=now), ""),
        ("Newest segment", str((stream["newest"] or {}).get("name") or "-"), ""),
        ("Waiting in the spool", words.spool(spool), _spool_meter(spool)),
        ("Schedule", stream["schedule"] or "-", ""),
        ("Next run", words.when(stream["next_run"], now=now), ""),
        ("In", ", ".join(stream["repositories"]), ""),
    ]
    if stream["oplog_hours"] is not None:
        facts.append(("The server keeps what is next for", f"{stream['oplog_hours']:g} h", ""))
    if stream.get("pg_wal"):  # older hosts don't tell
        facts.append(("Waiting in the server", words.pg_wal(stream["pg_wal"]), ""))
    return _card(stream["job"], _state_badges(stream), facts)


def badge(text: str, state: str | None) -> str:
    """A word in the colour of a state; what no other colour is for is bad."""
    return f'<span class="badge {_COLOURS.get(str(state), "bad")}">{_safe(text)}</span>'


def _card(name: str, badges: str, facts: t.Sequence[tuple[str, str, str]], more: str = "") -> str:
    rows = "".join(f"<div><dt>{_safe(key)}</dt><dd>{_safe(value)}{extra}</dd></div>" for key, value, extra in facts)
    return (
        f'<section class="card"><div class="head"><h3>{_safe(name)}</h3><span>{badges}</span></div>'
        f'<dl class="facts">{rows}</dl>{more}</section>'
    )


def _state_badges(holder: Json) -> str:
    return "".join(badge(word, word) for word in words.state(holder).split(", "))


def _charts(history: t.Sequence[Json]) -> str:
    if len(history) < 2:
        return ""
    sizes = [
        Bar(one["stored_bytes"], f"{_moment(one)}: {format_bytes(one['stored_bytes'])}", one["state"] == "failed")
        for one in history
    ]
    durations = [
        Bar(one["seconds"], f"{_moment(one)}: {format_seconds(one['seconds'])}", one["state"] == "failed")
        for one in history
    ]
    count = len(history)
    figures = [
        ("Size", bars(sizes, title=f"Stored size of the last {count} backups"), [one.value for one in sizes], _bytes),
        (
            "Duration",
            bars(durations, title=f"Duration of the last {count} backups"),
            [one.value for one in durations],
            format_seconds,
        ),
    ]
    return (
        '<div class="charts">'
        + "".join(
            f"<figure>{chart}<figcaption>{name} of the last {count}: {told(min(values))} to {told(max(values))}"
            "</figcaption></figure>"
            for name, chart, values, told in figures
        )
        + "</div>"
    )


def _bytes(value: float) -> str:
    return format_bytes(int(value))


def _moment(one: Json) -> str:
    return str(one["started"])[:16].replace("T", " ")


def _meter(fact: Json, what: str) -> str:
    if not fact["objective_seconds"] or fact["seconds"] is None:
        return ""
    share = fact["seconds"] / fact["objective_seconds"]
    return meter(share, title=f"{share * 100:.0f} % of the {what}", name=_COLOURS.get(str(fact["verdict"]), "bad"))


def _spool_meter(spool: Json | None) -> str:
    if not spool:
        return ""
    percent = spool["used_percent"]
    name = "good" if percent < 50 else ("warn" if percent < 80 else "bad")
    return meter(percent / 100, title=f"{percent} % of the spool", name=name)


def _safe(text: t.Any) -> str:
    return html.escape(str(text), quote=True)
