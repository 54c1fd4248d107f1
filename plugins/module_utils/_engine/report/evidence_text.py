# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A failover's record and what is to be said against it, as text for a terminal."""

from __future__ import annotations

import typing as t

from . import evidence_words as words
from .text import format_seconds, format_table

Json = t.Mapping[str, t.Any]


def proof_text(proof: Json) -> str:
    """What was looked at, and each thing that can't be trusted."""
    copies = ", ".join(f"{name} ({count})" for name, count in proof["copies"].items()) or "none"
    lines = [
        f"{proof['service']} {proof['run']}: {words.verdict(proof)}.",
        f"{proof['entries']} entries, copies in {copies}.",
        f"Hash of the last entry: {proof['last_sha256'] or '-'}",
    ]
    lines += [
        f"{'PROBLEM' if one['grave'] else 'note'} [{one['code']}] {one['where']}: {one['message']}"
        for one in proof["doubts"]
    ]
    return "\n".join(lines)


def record_text(record: Json) -> str:
    """Who did what when, the figures, and the steps."""
    figures = record["figures"]
    lines = [
        f"{words.kind(record)}, {record['service']} {record['run']}: {record['state']}",
        f"opened {record['opened']}, ended {record['ended'] or '-'}",
        f"plan   {record['plan']['sha256']}",
    ]
    lines += [
        f"{one['event']:8} {one['at']} by {one['by']}, plan {str(one['plan_sha256'])[:16]}"
        for one in record["confirmed"]
    ]
    lines += [
        f"{name}: {said} ({asked}{', ' + met if met else ''})" for name, said, asked, met in words.objectives(figures)
    ]
    lines += [f"{path}: {text}" for path, text in words.statements(figures)]
    rows = [
        [
            one["name"],
            str(one["on"]),
            one["state"],
            one["began"] or "-",
            format_seconds(one["seconds"]),
            (one["result_sha256"] or "-")[:16],
        ]
        for one in record["steps"]
    ]
    table = format_table(("STEP", "ON", "STATE", "BEGAN", "TOOK", "OUTPUT"), rows, right=("TOOK",))
    told = [
        f"{one['name']}, attempt {number}: {attempt['message']}"
        for one in record["steps"]
        for number, attempt in enumerate(one["attempts"], start=1)
        if attempt["message"]
    ]
    return "\n".join([*lines, "", table, *told])
