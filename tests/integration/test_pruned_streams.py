# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left of three real streams when everything is removed that the newest bases don't need: all that they reach.

The servers, what they write and what is recovered are real. Only the hours in which it was recorded are made: each
record is given one of its own, as if it had taken days.
"""

from __future__ import annotations

import datetime
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Selection, read_catalog
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock, format_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.marked_streams import STREAM_MARKS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_stream import prune_stream
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.recovery_kinds import engine_recovery
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.stream_pruned import StreamPruned
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.stream_hours import (
    StreamSummary,
    summarise_series,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from sandbox.ports import free_port
from tests.integration.test_point_in_time import Site, _in_postgresql, _members, _shut, _stop, three_servers
from tests.support.pruning import assert_clean, decide
from tests.support.stream_hours import HOUR, spread

pytestmark = pytest.mark.slow

ENGINES = {"main": "postgresql", "documents": "mongodb", "cache": "redis"}


@pytest.fixture(scope="module")
def site() -> t.Iterator[Site]:
    with three_servers() as made:
        _story(made)
        yield made


def _story(site: Site) -> None:
    """Twice: backups, a word, a time, a word; everything is shipped again and again."""
    site.postgresql.query("CREATE TABLE ledger (word text PRIMARY KEY)")
    site.lifeboat("ship --quiet").succeeded()
    for turn in ("old", "new"):
        site.lifeboat("backup shop/main/base shop/documents/full --quiet").succeeded()
        site.redis.client().bgrewriteaof()
        for word in ("first", "second", "third"):
            site.write(f"{turn}-{word}")
            site.moments[f"{turn}-{word}"] = site.turn()
            site.ship()


def _summary(site: Site, source: str, *, now: datetime.datetime) -> tuple[LocalStorage, StreamSummary]:
    engine = ENGINES[source]
    storage = LocalStorage(path=str(site.folder / "repository"))
    backups = read_catalog({"local": storage}, selection=Selection(service="shop", source=source)).backups
    series = Series(service="shop", source=source, kind=engine_recovery(engine).stream_kind)
    (found,) = summarise_series(storage, series, engine=engine, bases=backups, marks=STREAM_MARKS[engine], now=now)
    return storage, found


def _pruned(site: Site, source: str) -> tuple[StreamPruned, LocalStorage, StreamSummary]:
    """Remove what the newest base does not need."""
    now = SystemClock().now()
    storage, summary = _summary(site, source, now=now)
    spread(storage, summary.folder, now=now)
    storage, summary = _summary(site, source, now=now)
    entry = summary.entry
    newest = max(entry.own_bases) if source == "cache" else entry.needed_from[max(entry.needed_from)]
    done = prune_stream(storage, summary, decide(summary, newest), host=Host(), progress=Progress(clock=SystemClock()))
    return done, storage, summary


def test_what_is_left_is_all_that_the_newest_bases_reach(site: Site) -> None:
    ports = {"main": free_port(), "cache": free_port()}
    for source in ENGINES:
        done, storage, summary = _pruned(site, source)
        assert done.is_finished, done
        assert done.segments >= 3, f"{source}: hardly anything went: {done}"
        assert_clean(storage, folder=summary.folder, now=SystemClock().now() + HOUR)
    # The old words are in the bases, and what came between can't be reached any more.
    early = format_time(site.moments["old-second"])
    for source in ENGINES:
        said = site.lifeboat(f"recover shop/{source} --to-time {early} --dry-run -o suffix=_never")
        assert said.status == 2, said.out
    moment = site.moments["new-second"]
    expected = {*(f"old-{word}" for word in ("first", "second", "third")), "new-first", "new-second"}
    main = site.folder / "pruned-main"
    try:
        exact = format_time(moment + datetime.timedelta(milliseconds=999))
        started = f"-o port={ports['main']} -o start=true"
        site.lifeboat(f"recover shop/main --to-time {exact} --quiet -o data_directory={main} {started}").succeeded()
        assert _in_postgresql(site, main, ports["main"]) == expected
        at = format_time(moment)
        site.lifeboat(f"recover shop/documents --to-time {at} --quiet -o suffix=_pruned").succeeded()
        with site.mongodb.client() as client:
            assert {one["_id"] for one in client["shop_pruned"]["ledger"].find()} == expected
        site.lifeboat(
            f"recover shop/cache --to-time {at} --quiet -o data_directory={site.folder / 'pruned-cache'} "
            f"-o port={ports['cache']} -o start=true"
        ).succeeded()
        assert _members(ports["cache"]) == expected
    finally:
        _stop(site, main)
        _shut(ports["cache"])


def test_shipping_goes_on_where_it_was(site: Site) -> None:
    """Behind the test above: no stream takes what was removed for a break."""
    site.write("later")
    later = site.turn()
    site.write("last")
    site.turn()
    site.ship()
    said = site.lifeboat("windows --json").succeeded()
    for source in said.document["sources"]:
        # The base of which the stream is gone is a point in time still.
        assert len({one["lineage"] for one in source["windows"]}) == 1, source
        newest = max(source["windows"], key=lambda one: one["ends"])
        assert newest["begins"] < format_time(site.moments["new-first"]), source
        assert newest["ends"] >= format_time(later), source
    for source in ENGINES:
        assert _summary(site, source, now=SystemClock().now())[1].problems == ()
