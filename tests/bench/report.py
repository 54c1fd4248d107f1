# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Outcomes as a table for the terminal, as Markdown for the documentation, and as JSON."""

from __future__ import annotations

import dataclasses
import statistics
import typing as t
from pathlib import Path

from .contest import DISTURBED, Contender, Outcome, Verdict
from .measuring import Measurement

_COLUMNS = (
    "",
    "min s",
    "median s",
    "max s",
    "MB/s",
    "cpu s",
    "server cpu s",
    "own MB",
    "child MB",
    "all MB",
    "scratch MB",
    "written MB",
    "stored MB",
)
_BEGIN, _END = "<!-- figures: begin -->", "<!-- figures: end -->"


def text_of(outcome: Outcome) -> str:
    """For the terminal."""
    rows = [_COLUMNS, *(_row(one, outcome) for one in outcome.contest.contenders)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = ["", f"{outcome.contest.title}: {outcome.contest.data}"]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells))
    lines += [f"  {_mark(one)}  {one.text}: {one.value}" for one in outcome.verdicts()]
    return "\n".join([*lines, *(f"  !!! {note}" for note in _notes(outcome))])


def markdown_of(outcomes: t.Sequence[Outcome], *, facts: t.Mapping[str, str], versions: t.Mapping[str, str]) -> str:
    """For the documentation."""
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())]
    shown = ", ".join(f"{name}: {value}" for name, value in versions.items() if value)
    lines += [f"| versions | {shown} |"]
    for outcome in outcomes:
        lines += ["", f"### {outcome.contest.title}", "", f"{outcome.contest.data}.", ""]
        lines += ["| " + " | ".join(_COLUMNS) + " |", "|---" + "|---:" * (len(_COLUMNS) - 1) + "|"]
        lines += [
            "| "
            + " | ".join([f"`{row[0]}`" if "|" not in row[0] else f"`{row[0]}`".replace("|", "\\|"), *row[1:]])
            + " |"
            for row in (_row(one, outcome) for one in outcome.contest.contenders)
        ]
        lines += ["", *(f"- {one.text}: **{one.value}** ({_mark(one).strip()})" for one in outcome.verdicts())]
        lines += [f"- {note}" for note in _notes(outcome)]
    return "\n".join(lines)


def document_of(
    outcomes: t.Sequence[Outcome], *, facts: t.Mapping[str, str], versions: t.Mapping[str, str]
) -> dict[str, t.Any]:
    """Everything as JSON values."""
    return {
        "machine": dict(facts),
        "versions": dict(versions),
        "contests": [
            {
                "name": outcome.contest.name,
                "title": outcome.contest.title,
                "data": outcome.contest.data,
                "data_bytes": outcome.contest.data_bytes,
                "disturbance": round(outcome.disturbance, 3),
                "missing": list(outcome.contest.missing),
                "runs": {key: [dataclasses.asdict(one) for one in runs] for key, runs in outcome.runs.items()},
                "verdicts": [dataclasses.asdict(one) for one in outcome.verdicts()],
            }
            for outcome in outcomes
        ],
    }


def write_into(page: Path, markdown: str) -> None:
    """Put the figures between the two marks of a page. Raises ValueError when it has none."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _old, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{page} has no {_BEGIN} and {_END} between which the figures go")
    page.write_text(f"{before}{begin}\n\n{markdown}\n\n{end}{after}", encoding="utf-8")


def _row(contender: Contender, outcome: Outcome) -> tuple[str, ...]:
    runs = outcome.runs[contender.key]
    seconds = sorted(one.seconds for one in runs)
    middle = statistics.median(seconds)

    def median(value: t.Callable[[Measurement], float]) -> float:
        return statistics.median(value(one) for one in runs)

    def largest(value: t.Callable[[Measurement], float]) -> str:
        return f"{max(value(one) for one in runs) / 1e6:.0f}"

    return (
        contender.title,
        f"{seconds[0]:.2f}",
        f"{middle:.2f}",
        f"{seconds[-1]:.2f}",
        f"{outcome.contest.data_bytes * contender.share / middle / 1e6:.0f}",
        f"{median(lambda one: one.client_cpu):.2f}",
        f"{median(lambda one: one.server_cpu):.2f}",
        largest(lambda one: one.own_peak),
        largest(lambda one: one.child_peak),
        largest(lambda one: one.all_peak),
        largest(lambda one: one.scratch),
        largest(lambda one: one.written),
        largest(lambda one: one.stored),
    )


def _mark(verdict: Verdict) -> str:
    if verdict.met is None:
        return "NOT MEASURED" if verdict.value == "NOT MEASURED" else "shown "
    return "met   " if verdict.met else "MISSED"


def _notes(outcome: Outcome) -> list[str]:
    notes = list(outcome.contest.missing)
    promised = any(one.at_most or one.at_least for one in outcome.contest.figures)
    if promised and outcome.contest.data_bytes < outcome.contest.least_bytes:
        notes.append("Times are judged from 1 GB of data on.")
    if outcome.disturbance > DISTURBED:
        notes.append(
            f"Others used {outcome.disturbance:.0%} of the processors meanwhile: repeat it on a machine at rest."
        )
    return notes
