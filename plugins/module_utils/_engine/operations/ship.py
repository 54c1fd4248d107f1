# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storing a stream that never ends. Reads like its runbook: lock, look, capture, ship, remove what is stored, record.

The order of writes is that of :mod:`streams.record_writer`: segment, record, and only then a file leaves the spool. So
a run may die at any line; the next one finds in the spool whatever has no record, and in the repositories the rest.
"""

from __future__ import annotations

import contextlib
import functools
import os
import typing as t

from ..core.clock import Clock, format_time
from ..core.errors import Interrupted, LifeboatError, StateDirectoryUnusable, StorageForbidden
from ..core.host import Host
from ..core.journal import Journal
from ..core.parallel import at_the_same_time
from ..core.progress import Progress, ProgressSink
from ..core.signals import Stop, interrupted
from ..core.state import SourceLock, StateDirectory
from ..storage.base import Storage
from ..streams.layout import hour_of
from ..streams.reader import read_records
from ..streams.spool import Spool
from ..streams.waiting import SpoolView, SpoolWatch
from .ship_alarms import Seen, alarms
from .ship_noted import LOOKS, noted_facts, read_look
from .ship_run import Shipping, make_source, open_storages
from .ship_values import COMPLETE, ShipPlan, ShipRequest, ShipResult, SpoolState

_SHOWN_SEGMENTS = 20
_TURN_SECONDS = 1.0
# While segments are on their way, those that come are described already. But looking at a spool in which very much
# waits must not become all that is done.
_LOOK_SECONDS = 0.2
_SHARE_OF_LOOKING = 0.1
_RECORD_SECONDS = 3600.0
# What goes to and fro, and how far a spool is that drains, is told no more often.
_TELL_SECONDS = 30.0

Report = t.Callable[[ShipResult], None]


def plan_ship(request: ShipRequest, *, host: Host) -> ShipPlan:
    """What a run would do now; nothing is captured, stored or removed.

    Raises what the source's inspect() raises, StreamSpoolUnusable, and RequestInvalid.
    """
    request.transforms.check(runner=host.runner)
    state = StateDirectory(path=request.state_directory)
    spool = Spool(path=request.spool_directory, budget=request.spool_budget)
    source = make_source(request, host=host, state=state, spool=spool)
    inspection = source.inspect()
    view = SpoolWatch(spool=spool, source=source, series=request.series).look() if _is_there(request) else SpoolView()
    storages = open_storages(request, host=host)
    looks = at_the_same_time([functools.partial(_to_store, each, view, host=host) for each in storages.values()])
    repositories: list[dict[str, t.Any]] = []
    failed: dict[str, LifeboatError] = {}
    for (name, storage), look in zip(storages.items(), looks):
        found: dict[str, t.Any] = {"name": name, "url": storage.properties.url, "error": None, "to_store": None}
        try:
            found.update(state="ready", to_store=look.result())
        except StorageForbidden:
            found["state"] = "write-only"
        except LifeboatError as error:
            failed[name] = error
            found.update(state="unusable", error=error.as_dict())
        repositories.append(found)
    waits = SpoolState.of(spool.path, spool.budget, view.entries)
    seen = Seen(inspection=inspection, spool=waits, refused=view.refused, held=len(view.held), failed=failed)
    now = host.clock.now()
    return ShipPlan(
        job=request.job,
        engine=request.engine,
        lineage=inspection.lineage,
        spool=waits,
        repositories=tuple(repositories),
        segments=tuple(
            {
                "name": each.name,
                "lineage": each.folder.lineage,
                "media": each.description.media,
                "size": each.entry.size,
            }
            for each in view.segments[:_SHOWN_SEGMENTS]
        ),
        warnings=alarms(request, seen, now=now),
        facts=inspection.facts,
        planned=now,
    )


def run_ship(request: ShipRequest, *, host: Host, show: ProgressSink | None = None) -> ShipResult:
    """Capture, ship all that waits, and return; a result that is not complete carries its error.

    Raises LockHeld when another shipper of the stream runs, what says that the request is wrong, and Interrupted.
    """
    return _Run(request, host=host, show=show).once()


def follow_ship(
    request: ShipRequest, *, host: Host, show: ProgressSink | None = None, report: Report | None = None
) -> ShipResult:
    """Go on until a signal says stop; then end after the segments on their way, and return.

    *report* is given the result when its state or its warnings change, what goes to and fro and how far it is while
    something waits each half minute. Raises as :func:`run_ship` before it begins;
    later on everything that may pass is tried again.
    """
    return _Run(request, host=host, show=show).follow(report or (lambda result: None))


class _StreamLock(SourceLock):
    """A lock that is held also where nobody can be told by whom: shipping is what makes room on a full disk."""

    def __init__(self, *, state: StateDirectory, name: str, clock: Clock, journal: Journal) -> None:
        super().__init__(state=state, name=name, clock=clock)
        self._journal = journal
        self._can_show = True

    def show(self, progress: t.Mapping[str, t.Any]) -> None:
        try:
            super().show(progress)
            self._can_show = True
        except StateDirectoryUnusable as error:
            if self._can_show:
                self._journal.warning(f"The progress is not shown: {error.message}")
            self._can_show = False


class _Run:
    def __init__(self, request: ShipRequest, *, host: Host, show: ProgressSink | None) -> None:
        self._request = request
        self._host = host
        self._show = show
        self._state = StateDirectory(path=request.state_directory)
        self._lock = _StreamLock(state=self._state, name=request.record_name, clock=host.clock, journal=host.journal)
        self._told: tuple[str, tuple[str, ...]] | None = None
        self._told_at: dict[tuple[str, tuple[str, ...]], float] = {}
        self._told_waiting = 0
        self._recorded_at = float("-inf")
        self._next_capture = float("-inf")

    def once(self) -> ShipResult:
        return self._locked(self._once)

    def follow(self, report: Report) -> ShipResult:
        return self._locked(functools.partial(self._follow, report=report))

    def _locked(self, work: t.Callable[[Shipping], ShipResult]) -> ShipResult:
        self._lock.acquire(holder={"job": self._request.job}, timeout=self._request.lock_timeout)
        try:
            progress = Progress(clock=self._host.clock, sink=self._progress)
            shipping = Shipping(self._request, host=self._host, progress=progress)
            try:
                result = work(shipping)
            finally:
                shipping.close()
        except BaseException as error:
            self._record_failure(error)
            raise
        finally:
            self._lock.release()
        self._record(result)
        return result

    def _once(self, shipping: Shipping) -> ShipResult:
        shipping.prepare()
        shipping.progress.stage("inspecting")
        shipping.inspect()
        try:
            while True:
                shipping.progress.stage("capturing")
                shipping.capture()
                shipping.progress.stage("shipping")
                shipping.only_what_waits()
                before = shipping.view.used
                while shipping.turn(again=False) or shipping.is_busy:
                    shipping.wait(_TURN_SECONDS)
                # What did not fit into the spool does now.
                if not (shipping.is_spool_full and shipping.view.used < before):
                    return shipping.result()
        except Stop as stop:
            shipping.stop()
            raise Interrupted(
                f"The run was ended by {stop} after the segments on their way; the others wait in the spool.",
                hint="The next run goes on from there.",
            ) from None

    def _follow(self, shipping: Shipping, *, report: Report) -> ShipResult:
        shipping.prepare()
        shipping.inspect()
        try:
            while True:
                took = self._turn(shipping, report)
                if shipping.is_busy:
                    shipping.wait(min(max(_LOOK_SECONDS, took / _SHARE_OF_LOOKING), _TURN_SECONDS))
                else:
                    self._host.clock.sleep(_TURN_SECONDS)
        except Stop:
            shipping.progress.stage("stopping")
            shipping.stop()
            return shipping.result()

    def _turn(self, shipping: Shipping, report: Report) -> float:
        """One turn; how many seconds looking took."""
        try:
            is_time = self._host.clock.monotonic() >= self._next_capture
            if is_time:
                shipping.progress.stage("capturing")
                shipping.inspect()
                shipping.capture()
                self._next_capture = self._host.clock.monotonic() + shipping.inspection.capture_seconds
                shipping.progress.stage("following")
            began = self._host.clock.monotonic()
            shipping.turn(again=True)
        except LifeboatError:
            # The server was set up anew, the disk of the spool is gone: whoever looks at the service must see it end
            # only when nothing is on its way any more.
            shipping.stop()
            raise
        result = shipping.result(goes_on=True)
        if is_time:
            self._note_look(result)
        now = self._host.clock.monotonic()
        took = now - began
        is_news = self._is_news(result, now)
        if is_news:
            report(result)
        if is_news or now - self._recorded_at >= _RECORD_SECONDS:
            self._recorded_at = now
            self._record(result)
        return took

    def _is_news(self, result: ShipResult, now: float) -> bool:
        """Whether it is to be told: at once what was not told lately, and how far it is while a spool drains.

        At the edge of an alarm the state goes to and fro with each segment.
        """
        told = (result.state, tuple(sorted({warning.name for warning in result.warnings})))
        waiting = result.spool.segments
        if told == self._told:
            answer = not any(one["error"] for one in result.repositories)
            drains = result.state != COMPLETE and answer and waiting < self._told_waiting
            is_news = drains and now - self._told_at[told] >= _TELL_SECONDS
        else:
            is_news = now - self._told_at.get(told, float("-inf")) >= _TELL_SECONDS
        if is_news:
            self._told, self._told_waiting = told, waiting
            self._told_at[told] = now
        return is_news

    def _progress(self, snapshot: t.Mapping[str, t.Any]) -> None:
        self._lock.show(snapshot)
        if self._show is not None:
            self._show(snapshot)

    def _record_failure(self, error: BaseException) -> None:
        if isinstance(error, Stop):
            error = interrupted(error)
        elif not isinstance(error, LifeboatError):
            error = LifeboatError(f"{type(error).__name__}: {error}")
        now = format_time(self._host.clock.now())
        self._append({"job": self._request.job, "state": "failed", "started": now, "finished": now}, error=error)

    def _record(self, result: ShipResult) -> None:
        document = result.as_dict()
        kept = ("job", "state", "segments", "stored_bytes", "events", "seconds", "started", "finished", "spool")
        record = {**{key: document[key] for key in kept}, **_noted(result)}
        self._note_look(result)
        record["warnings"] = [warning.message for warning in result.warnings]
        self._append(record, error=result.error)

    def _note_look(self, result: ShipResult) -> None:
        """For the status: what the server itself says now. While it does not answer, what it said last stays."""
        noted = _noted(result)
        if not noted:
            return
        before = read_look(self._state, self._request.record_name) or {}
        # What was stored up to a moment remains so.
        stored = {key: before[key] for key in ("stored_until",) if key in before}
        with contextlib.suppress(StateDirectoryUnusable):  # who holds the lock can't be shown either, and that is said
            self._state.write(LOOKS, f"{self._request.record_name}.json", {**stored, **noted})

    def _append(self, record: dict[str, t.Any], *, error: LifeboatError | None) -> None:
        record["error"] = error.as_dict() if error else None
        try:
            self._state.append_record(self._request.record_name, record)
        except StateDirectoryUnusable as problem:
            self._host.journal.warning(f"The run could not be recorded: {problem.message}")


def _noted(result: ShipResult) -> dict[str, t.Any]:
    inspected = result.inspected or result.started
    return noted_facts(result.facts, state=result.state, waiting=result.spool.segments, inspected=inspected)


def _is_there(request: ShipRequest) -> bool:
    """A spool that shipping itself fills is made by the first run."""
    return request.kind.filled_by_server or os.path.lexists(request.spool_directory)


def _to_store(storage: Storage, view: SpoolView, *, host: Host) -> int:
    """How many of the waiting segments this repository has no record of. Raises what the storage raises."""
    count = 0
    for folder in dict.fromkeys(each.folder for each in view.segments):
        waiting = [each for each in view.segments if each.folder == folder]
        since = hour_of(min(each.entry.modified for each in waiting))
        found = read_records(storage, folder, since=since, now=host.clock.now())
        names = {segment.name for record in found.records for segment in record.segments}
        count += sum(each.name not in names for each in waiting)
    if not view.segments:
        next(iter(storage.list_folders("")), None)  # whether it answers
    return count
