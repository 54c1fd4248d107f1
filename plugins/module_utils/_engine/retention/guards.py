# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stops a plan: signs that something is wrong with the backups, with the policy or with this host. Pure.

Each guard has its own code (:mod:`core.errors`) and its own override: a word, or the word and one series
(``overdue:family/main/full``). A guard is about one series, or about everything in the repository.
"""

from __future__ import annotations

import datetime
import typing as t

from ..catalog.layout import Series
from ..catalog.standing import FAILED
from ..core.description.duration import describe_duration
from ..core.errors import (
    ClockDisagrees,
    ElsewhereUnreadable,
    EntriesUnreadable,
    NewestBackupFailed,
    NewestBackupOverdue,
    NumberTooLarge,
    PolicyEmpty,
    RequestInvalid,
    RetentionRefused,
    ShareTooLarge,
    WindowTooShort,
)
from .rules import keeps_nothing, merged
from .stream_spans import moment_text
from .values import Elsewhere, Entry, Limits, Refusal, RepositoryContent, SeriesPolicy

GUARDS: tuple[type[RetentionRefused], ...] = (
    NewestBackupFailed,
    NewestBackupOverdue,
    ClockDisagrees,
    ShareTooLarge,
    NumberTooLarge,
    PolicyEmpty,
    EntriesUnreadable,
    ElsewhereUnreadable,
    WindowTooShort,
)
#: The overrides that would have let something go, by what they are about: a series, or everything (None).
Stops = t.Mapping[t.Optional[Series], t.Sequence[str]]
#: How the reason begins of what stays for a guard alone.
HELD_BACK = "held back: "
#: Kinds of backups that build on others.
_BUILDING_KINDS = ("incremental", "differential")
_SHOWN = 3


def check_overrides(allow: t.Iterable[str]) -> None:
    """Raises RequestInvalid for a word that overrides nothing: it was meant to, and would look as if it did."""
    words = sorted(guard.override for guard in GUARDS)
    for one in sorted(allow):
        word, colon, series = one.partition(":")
        if word not in words or (colon and len(series.split("/")) != 3):
            raise RequestInvalid(
                f"{one!r} overrides no guard of retention.",
                hint=f"Known words: {', '.join(words)}; for one series alone: overdue:service/source/kind",
            )


def is_allowed(refusal: Refusal, allow: t.Container[str]) -> bool:
    """Whether one of the overrides lifts it."""
    return refusal.override in allow or refusal.override.partition(":")[0] in allow


def as_error(refusal: Refusal) -> RetentionRefused:
    """The error of a refusal, to raise or to report."""
    guard = next(guard for guard in GUARDS if guard.code == refusal.code)
    series = None if refusal.series is None else _name(refusal.series)
    return guard(refusal.message, hint=refusal.hint, details={"series": series, "override": refusal.override})


def repository_refusals(content: RepositoryContent, *, limits: Limits) -> t.Iterator[Refusal]:
    """Signs that nothing in this repository can be judged."""
    if abs(content.clock_skew) > limits.clock_skew:
        ahead = "ahead of" if content.clock_skew > 0 else "behind"
        yield _refusal(
            ClockDisagrees,
            f"The clock of {content.name} is {abs(content.clock_skew):.0f} s {ahead} this host's; "
            f"ages are believed up to {limits.clock_skew:.0f} s.",
            "Set this host's clock: chronyc tracking, timedatectl.",
        )
    if content.problems:
        shown = "; ".join(content.problems[:_SHOWN])
        more = f"; and {len(content.problems) - _SHOWN} more" if len(content.problems) > _SHOWN else ""
        entries = "entry" if len(content.problems) == 1 else "entries"
        yield _refusal(
            EntriesUnreadable,
            f"{len(content.problems)} {entries} of {content.name} can't be read: {shown}{more}",
            f"Look at them: lifeboat list --repository {content.name}.",
        )


def series_refusals(
    policy: SeriesPolicy,
    newest: t.Iterable[Entry],
    *,
    would_go: bool,
    now: datetime.datetime,
    elsewhere: t.Iterable[Elsewhere],
) -> t.Iterator[Refusal]:
    """Signs that a series is not well, or its policy. *newest* is its newest backup, of each of its jobs.

    Of a series of which nothing would go only its policy is judged: that it is overdue is told by ``lifeboat status``.
    """
    series, name = policy.series, _name(policy.series)
    if keeps_nothing(merged(policy.keeps)):
        yield _refusal(
            PolicyEmpty, f"The policy of {name} keeps nothing.", f"Give {name} a keep, such as {{within: 30d}}.", series
        )
    elif policy.is_stream and merged(policy.keeps).within is None and not merged(policy.keeps).forever:
        yield _refusal(
            PolicyEmpty,
            f"The policy of {name} counts backups, and a stream has none to count.",
            f"Give {name} keep: {{within: 8d}} or keep: {{forever: true}}.",
            series,
        )
    if not would_go:
        return
    failed = next((entry for entry in newest if entry.state == FAILED), None)
    if failed is not None:
        yield _refusal(
            NewestBackupFailed,
            f"The newest backup of {name}, {failed.backup_id}, failed its verification.",
            f"See why: lifeboat show {failed.backup_id}. Make and prove another: lifeboat backup {name}, then verify.",
            series,
        )
    if policy.overdue_since is not None:
        what = "Nothing new of the stream" if policy.is_stream else "No backup of"
        late = _late(now - policy.overdue_since)
        command = "ship" if policy.is_stream else "backup"
        yield _refusal(
            NewestBackupOverdue,
            f"{what} {name} has come that was due at {moment_text(policy.overdue_since)}{late}.",
            f"Make it, or see why it fails: lifeboat {command} {name}.",
            series,
        )
    unread = sorted(one.content.name for one in elsewhere if one.content.problems and _concerns(one, policy))
    if unread:
        yield _refusal(
            ElsewhereUnreadable,
            f"{', '.join(unread)} can't be read whole, and what builds on {name} may be there.",
            f"Try again when it can be: lifeboat list --repository {unread[0]}.",
            series,
        )


def share_refusal(series: Series, *, going: int, there: int, limits: Limits) -> Refusal | None:
    """Whether too much of a series would go at once."""
    if there < limits.share_from or going <= limits.share * there:
        return None
    name = _name(series)
    return _refusal(
        ShareTooLarge,
        f"{going} of {there} backups of {name} would go at once, and the limit is {limits.share:.0%}.",
        f"Read the plan of {name}: does its policy say what was meant?",
        series,
    )


def number_refusal(content: RepositoryContent, *, going: int, limits: Limits) -> Refusal | None:
    """Whether too much of a repository would go at once."""
    if going <= limits.number:
        return None
    return _refusal(
        NumberTooLarge,
        f"{going} backups of {content.name} would go at once, and the limit is {limits.number}.",
        "Read the plan: do the policies say what was meant?",
    )


def window_refusal(
    series: Series, *, stream: Series, before: float, after: float, objective: datetime.timedelta | None
) -> Refusal:
    """That a source could be recovered to less, said of a *series* of which something would go."""
    asked = "all of it" if objective is None else describe_duration(objective)
    return _refusal(
        WindowTooShort,
        f"By what would go of {_name(series)}, {_name(stream)} could be recovered to any moment of {_span(after)} "
        f"instead of {_span(before)}; the objective is {asked}.",
        f"Have the policy of {_name(stream)} keep as much as the objective asks for.",
        series,
    )


def _refusal(guard: type[RetentionRefused], message: str, hint: str, series: Series | None = None) -> Refusal:
    override = guard.override if series is None else f"{guard.override}:{_name(series)}"
    return Refusal(
        code=guard.code,
        message=message,
        hint=f"{hint} To remove all the same: --allow {override}",
        override=override,
        series=series,
    )


def _concerns(other: Elsewhere, policy: SeriesPolicy) -> bool:
    """Whether another repository may hold what builds on a series' backups, or the bases of what it records."""
    return any(
        (one.series.service, one.series.source) == (policy.series.service, policy.series.source)
        and one.series.kind != policy.series.kind
        and (policy.is_stream or one.is_stream or one.series.kind in _BUILDING_KINDS)
        for one in other.policies
    )


def _name(series: Series) -> str:
    return series.folder.rstrip("/")


def _late(late: datetime.timedelta) -> str:
    # To the minute: seconds say nothing here.
    whole = datetime.timedelta(minutes=late // datetime.timedelta(minutes=1))
    return f", {describe_duration(whole)} ago" if whole > datetime.timedelta() else ""


def _span(seconds: float) -> str:
    return describe_duration(datetime.timedelta(seconds=int(seconds)))
