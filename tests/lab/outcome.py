# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a move has come to: its steps, what clients saw of it, and the figures that are printed."""

from __future__ import annotations

import os
import typing as t

from tests.lab.description import REGIONS
from tests.lab.lab import Lab
from tests.lab.load import Load
from tests.lab.timeline import Timeline
from tests.support.hosts.playing import Json, Played

Word = dict[str, t.Any]


def steps_to(region: str, *, frozen: t.Sequence[str] = ()) -> list[str]:
    """The steps of the service's way to *region*, in their order; *frozen* are hosts of the left one that answer."""
    hosts = [f"server-{region}-{name}" for name in REGIONS[region]]
    return [
        *(f"freeze-{name}" for name in frozen),
        *("fence-main", "cut-cache", "promote-main", "verify-main", "promote-cache"),
        *(f"rewire-{one}" for one in hosts),
        *(f"health-{one}" for one in hosts),
        *("dns-api.adhd.test", "watch", "backup-main"),
    ]


def is_whole_but_for_the_lost_repository(lab: Lab, region: str, played: Played) -> bool:
    """The last step makes a backup, and one of its two repositories was lost with the region: it says so."""
    (lost,) = set(REGIONS) - {region}
    (made,) = (one["data"] for one in lab.ledger(region) if (one["step"], one["event"]) == ("backup-main", "done"))
    return played.status == 0 and (made["state"], made["left_out"]) == ("complete", [lost])


def steps(lab: Lab, region: str, event: str = "done") -> list[str]:
    """The steps to which that has happened, by the ledger in that region's repository."""
    return [one["step"] for one in lab.ledger(region) if one["event"] == event]


def run_of(lab: Lab, region: str) -> str:
    """The newest failover there."""
    entries = lab.ledger(region)
    return str(entries[0]["run"]) if entries else ""


def accepted(lab: Lab, **words: t.Any) -> Word:
    """What a user types after having read a plan that loses something."""
    word: Word = {"lifeboat_accept_data_loss": True, **words}
    checked, confirm = lab.planned(**word)
    assert checked.status == 0, checked.output
    return {**word, "lifeboat_confirm": confirm}


def tell(
    what: str, *, load: Load, lost: t.Collection[int], stated: Json | None, decided: float, line: Timeline
) -> None:
    """The figures of a move, and how busy the machine was meanwhile."""
    began, ended = load.longest_silence
    busy = " ".join(f"{one:.1f}" for one in os.getloadavg())
    healthy = [at for at, name in line.steps if name.startswith(("health-", "rewire-"))]
    print(
        f"LAB {what}: decision to healthy {max(healthy, default=0):.1f} s, whole play {line.tasks[-1][0]:.1f} s; "
        f"clients had errors for {ended - began:.1f} s, {max(0.0, ended - decided):.1f} s of them since the decision; "
        f"{len(lost)} of {len(load.acknowledged)} acknowledged writes lost, stated: {stated} (load {busy})"
    )
