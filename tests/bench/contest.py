# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who runs against whom, in what order, and what was promised about the outcome."""

from __future__ import annotations

import os
import shutil
import statistics
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from .command import Command, bare_pipe
from .measuring import Measurement, measure

# On this much processor time of others, per core and second of a run, figures say more about them than about us.
DISTURBED = 0.1
# Times are promised for at least so much data: below it one measures how fast interpreters start.
LEAST_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Contender:
    """One way to make the backup. *prepare* is given an empty folder and isn't measured.

    With *warm* it runs once before the measured runs, so that none of these pays for cold caches. One that would take
    all day is given a *share* of the work, which its title says; its times are compared as if it had done all of it.
    """

    key: str
    title: str
    prepare: t.Callable[[Path], Command]
    warm: bool = True
    share: float = 1.0


def bare_contenders(
    source: t.Sequence[str | Path], *, title: str, name: str, environment: t.Mapping[str, str] | None = None
) -> tuple[Contender, Contender]:
    """The bare pipe (``bare``), and the same with a faster hash (``bare-openssl``)."""

    def pipe(*, fast_hash: bool) -> t.Callable[[Path], Command]:
        return lambda target: bare_pipe(source, target=target, name=name, fast_hash=fast_hash, **(environment or {}))

    return (
        Contender("bare", f"{title} | zstd | tee >(sha256sum)", pipe(fast_hash=False)),
        Contender("bare-openssl", f"{title} | zstd | tee >(openssl)", pipe(fast_hash=True), warm=False),
    )


@dataclass(frozen=True)
class Figure:
    """A promise: the median time of *ours* is at most so many times that of *peer*, or that much faster.

    With *at_most* and *at_least* None it is only shown.
    """

    text: str
    ours: str
    peer: str
    at_most: float | None = None
    at_least: float | None = None


@dataclass(frozen=True)
class Limit:
    """A promise about one contender: the largest *value* of all its runs is at most *at_most*.

    Both are bytes, unless *show* says in words what else they are.
    """

    text: str
    ours: str
    value: t.Callable[[Measurement], int]
    at_most: int
    show: t.Callable[[int], str] | None = None


@dataclass(frozen=True)
class Rate:
    """A promise about one contender: it does *amount* things in its median time, so at least so many a second."""

    text: str
    ours: str
    amount: int
    at_least: float
    unit: str


@dataclass(frozen=True)
class Contest:
    """One kind of backup of one server. *settle* waits until the server has nothing left to do of its own.

    Times are judged from *least_bytes* of data on: where runs are long for other reasons than much data, that is less.
    """

    name: str
    title: str
    data: str
    data_bytes: int
    contenders: tuple[Contender, ...]
    figures: tuple[Figure, ...]
    limits: tuple[Limit, ...]
    server_pids: t.Callable[[], t.Sequence[int]]
    settle: t.Callable[[], None]
    missing: tuple[str, ...] = ()
    runs: int | None = None  # instead of the number that was asked for
    rates: tuple[Rate, ...] = ()
    least_bytes: int = LEAST_BYTES


@dataclass(frozen=True)
class Verdict:
    """What became of a promise; *met* None: it could not be measured, or nothing was promised."""

    text: str
    value: str
    met: bool | None


@dataclass(frozen=True)
class Outcome:
    """All measured runs of a contest, by contender."""

    contest: Contest
    runs: t.Mapping[str, tuple[Measurement, ...]] = field(default_factory=dict)

    @property
    def disturbance(self) -> float:
        """Processor time of others by core and second: the median over all runs."""
        cores = os.cpu_count() or 1
        shares = [one.others / one.seconds / cores for runs in self.runs.values() for one in runs]
        return statistics.median(shares) if shares else 0.0

    def median(self, key: str) -> float:
        """Seconds for all of the work."""
        (share,) = (one.share for one in self.contest.contenders if one.key == key)
        return statistics.median(one.seconds for one in self.runs[key]) / share

    def verdicts(self) -> list[Verdict]:
        """One for each promise of the contest."""
        verdicts = [self._judge(figure) for figure in self.contest.figures]
        for rate in self.contest.rates:
            found = rate.amount / self.median(rate.ours)
            verdicts.append(Verdict(rate.text, f"{found:,.0f} {rate.unit} a second", found >= rate.at_least))
        for limit in self.contest.limits:
            value = max(limit.value(one) for one in self.runs[limit.ours])
            shown = f"{value / 1e6:.0f} MB" if limit.at_most else f"{value} bytes"
            if limit.show is not None:
                shown = limit.show(value)
            verdicts.append(Verdict(text=limit.text, value=shown, met=value <= limit.at_most))
        return verdicts

    def _judge(self, figure: Figure) -> Verdict:
        if figure.peer not in self.runs:
            return Verdict(text=figure.text, value="NOT MEASURED", met=None)
        ours, peer = self.median(figure.ours), self.median(figure.peer)
        small = self.contest.data_bytes < self.contest.least_bytes
        if figure.at_least is not None:
            faster = peer / ours
            return Verdict(figure.text, f"{faster:.2f} x faster", None if small else faster >= figure.at_least)
        ratio = ours / peer
        unjudged = small or figure.at_most is None
        return Verdict(figure.text, f"{ratio:.3f} x", None if unjudged else ratio <= (figure.at_most or 0.0))


def hold(contest: Contest, *, runs: int, folder: Path, say: t.Callable[[str], None]) -> Outcome:
    """Let all contenders run in turn, A B C, B C A, ..., so that whatever drifts hits all of them."""
    measured: dict[str, list[Measurement]] = {one.key: [] for one in contest.contenders}
    rounds = contest.runs or runs
    for contender in contest.contenders:
        if contender.warm:
            one = _run(contest, contender, folder=folder)
            say(f"{contest.name}: warm-up, {contender.title}: {one.seconds:.2f} s")
    for number in range(rounds):
        turn = number % len(contest.contenders)
        for contender in (*contest.contenders[turn:], *contest.contenders[:turn]):
            one = _run(contest, contender, folder=folder)
            measured[contender.key].append(one)
            say(f"{contest.name}: run {number + 1} of {rounds}, {contender.title}: {one.seconds:.2f} s")
    return Outcome(contest=contest, runs={key: tuple(found) for key, found in measured.items()})


def _run(contest: Contest, contender: Contender, *, folder: Path) -> Measurement:
    place = folder / "run"
    if place.exists():
        shutil.rmtree(place)
    target = place / "target"
    target.mkdir(parents=True)
    contest.settle()
    command = contender.prepare(target)
    contest.settle()
    # Nobody pays for what somebody else has left in memory to be written.
    os.sync()
    time.sleep(0.3)
    try:
        return measure(command, folder=place, server_pids=contest.server_pids)
    finally:
        shutil.rmtree(place)
