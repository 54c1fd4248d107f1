# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A label that somebody pins stays within reach, whatever the policies say: its base, and all recorded since."""

from __future__ import annotations

import datetime
import pathlib
import shutil
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import format_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LabelInvalid,
    RequestInvalid,
    StorageUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.copy_documents import missing_labels
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.copy_source import Place
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.label_pins import (
    LabelPinResult,
    pin_label,
    pinned_points,
    unpin_label,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.labels import store_label
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune import plan_prune, run_prune
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.label import Label, LabelPoint
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.label_pin import (
    label_pin_in,
    parse_label_pin,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import RecoveryTarget
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.prune import label_pins_text, plans_text
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from tests.support.clocks import FakeClock
from tests.support.memory import MemoryStorage
from tests.support.stream_hours import BEGIN, HOUR
from tests.unit.operations.test_prune_streams_and_bases import HOURS, Site

NAME = "before-upgrade"
NOW = BEGIN + HOUR * HOURS


def label(*, hour: float = 100, service: str = "shop", source: str = "main") -> Label:
    """Of one source, as it is made by ``lifeboat label``."""
    asked = BEGIN + HOUR * hour
    point = LabelPoint(
        source=source,
        engine="postgresql",
        target=RecoveryTarget(kind="lsn", value="0/6A000000"),
        asked=asked,
        answered=asked + datetime.timedelta(seconds=1),
    )
    return Label(name=NAME, service=service, host="db1", points=(point,))


def pin(storages: t.Mapping[str, Storage], **more: t.Any) -> LabelPinResult:
    values = {"reason": "until the upgrade is accepted", "by": "ops", **more}
    return pin_label(storages, "shop", NAME, host=Host(clock=FakeClock(NOW), name="db1"), **values)


@pytest.fixture
def two() -> dict[str, Storage]:
    storages: dict[str, Storage] = {"local": MemoryStorage(), "offsite": MemoryStorage()}
    store_label(label(), storages=storages)
    return storages


class Away(MemoryStorage):
    """A repository that is down: a fault."""

    def list(self, prefix: str = "") -> t.NoReturn:
        raise StorageUnreachable("it does not answer", hint="")

    def put(self, key: str, data: bytes, *, if_absent: bool = True) -> t.NoReturn:
        raise StorageUnreachable("it does not answer", hint="")


def test_it_is_said_in_every_repository_and_taken_back_in_every_one(two: dict[str, Storage]) -> None:
    made = pin(two)
    assert made.repositories == ("local", "offsite")
    assert "until it is taken away: until the upgrade is accepted" in label_pins_text(made)
    for storage in two.values():
        (point,) = pinned_points(storage, ["shop"]).points["shop", "main"]
        assert point.moment == BEGIN + HOUR * 100
        assert NAME in point.reason
        assert "accepted" in point.reason
    other = pin(two, reason="the auditor", until=NOW + HOUR)
    assert len(pinned_points(two["local"], ["shop"]).points["shop", "main"]) == 2
    assert unpin_label(two, "shop", NAME, pin_id=other.pins[0].pin_id).pins == other.pins
    assert unpin_label(two, "shop", NAME).pins == made.pins
    assert pinned_points(two["local"], ["shop"]).points == {}
    with pytest.raises(RequestInvalid, match="has no pin"):
        unpin_label(two, "shop", NAME)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"reason": " "}, "needs a reason"),
        ({"until": NOW}, "is over already"),
    ],
)
def test_what_can_not_be_is_refused_before_anything_is_written(
    two: dict[str, Storage], given: dict[str, t.Any], error: str
) -> None:
    with pytest.raises(RequestInvalid, match=error):
        pin(two, **given)
    assert pinned_points(two["local"], ["shop"]).points == {}


def test_a_label_that_is_not_there_is_said() -> None:
    with pytest.raises(LabelInvalid, match="has no label"):
        pin({"local": MemoryStorage()})


def test_a_repository_that_is_away_is_said_and_the_others_take_it(two: dict[str, Storage]) -> None:
    two["third"] = Away()
    made = pin(two)
    assert made.repositories == ("local", "offsite")
    assert set(made.errors) == {"third"}
    assert unpin_label(two, "shop", NAME).pins == made.pins
    with pytest.raises(StorageUnreachable):
        unpin_label(two, "shop", NAME)


def test_where_the_label_is_missing_it_comes_with_the_pin(two: dict[str, Storage]) -> None:
    two["third"] = MemoryStorage()
    assert pin(two).repositories == ("local", "offsite", "third")
    assert ("shop", "main") in pinned_points(two["third"], ["shop"]).points


def test_a_pin_that_was_changed_holds_without_an_end_and_is_a_problem(two: dict[str, Storage]) -> None:
    made = pin(two, until=NOW + HOUR).pins[0]
    two["local"].put(made.key, made.as_bytes().replace(b"accepted", b"rejected"), if_absent=False)
    found = pinned_points(two["local"], ["shop"])
    assert found.points["shop", "main"][0].until is None
    (problem,) = found.problems
    assert problem.code == "catalog.pin_invalid"
    assert f"lifeboat unpin --label shop/{NAME}" in (problem.hint or "")
    assert unpin_label(two, "shop", NAME).repositories == ("local", "offsite")


def test_a_pin_without_its_label_is_a_problem(two: dict[str, Storage]) -> None:
    pin(two)
    two["local"].delete([label().key])
    (problem,) = pinned_points(two["local"], ["shop"]).problems
    assert "it is not there" in problem.message
    # The next step that it names works, though nothing says any more which moment the label was of.
    two["offsite"].delete([label().key])
    taken = unpin_label(two, "shop", NAME)
    assert taken.repositories == ("local", "offsite")
    assert taken.label is None
    assert "the label itself is not there" in label_pins_text(taken)
    assert not pinned_points(two["local"], ["shop"]).problems


def test_its_document_is_read_as_it_was_written(two: dict[str, Storage]) -> None:
    made = pin(two, until=NOW + HOUR).pins[0]
    assert parse_label_pin(two["local"].get(made.key), key=made.key) == made
    assert label_pin_in(made.key) == (NAME, made.pin_id)
    assert label_pin_in(label().key) is None


def test_copy_brings_pins_as_it_brings_labels(two: dict[str, Storage]) -> None:
    made = pin({"local": two["local"]})
    target = Place(name="offsite", storage=two["offsite"])
    found = missing_labels(target, Place(name="local", storage=two["local"]), ["shop"])
    assert [one.key for one in found] == [made.pins[0].key]


class PinnedSite(Site):
    """The site of the streams, with a label in its hour 100."""

    def pinned(self, **more: t.Any) -> PinnedSite:
        storages = {"local": self.storage}
        store_label(label(), storages=storages)
        pin_label(storages, "shop", NAME, reason="the upgrade", by="ops", host=self.host, **more)
        return self


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("pinned")
    PinnedSite(folder).fill()
    return folder


@pytest.fixture
def site(filled: pathlib.Path, tmp_path: pathlib.Path) -> PinnedSite:
    shutil.copytree(filled / "local", tmp_path / "local")
    return PinnedSite(tmp_path)


@pytest.mark.thorough
def test_what_leads_to_a_pinned_label_stays(site: PinnedSite) -> None:
    site.pinned()
    request = site.request(wal="3d", count=1)
    plans = plan_prune(request, host=site.host)
    assert f"label {NAME}, the upgrade" in plans_text(plans, everything=True)
    result = run_prune(request, plan_hash=plans.hash, host=site.host)
    assert result.error is None
    assert site.bases() == [96, 192, 216]
    assert site.segments() == list(range(96, HOURS))
    assert not plan_prune(request, host=site.host).removes_something
    unpin_label({"local": site.storage}, "shop", NAME)
    run_prune(site.request(wal="40h", count=1), host=site.host)
    assert site.segments() == list(range(192, HOURS))


def test_a_pin_ends_when_it_said_so(site: PinnedSite) -> None:
    site.pinned(until=site.host.clock.now() + HOUR)
    later = site.host.clock.now() + 2 * HOUR
    plans = plan_prune(site.request(wal="3d", count=1), host=site.host, now=later)
    assert NAME not in plans_text(plans, everything=True)
    assert plans.removes_something


def test_a_pin_that_nobody_can_read_holds_everything_back(site: PinnedSite) -> None:
    site.pinned()
    (key,) = [one.key for one in site.storage.list("shop/.labels/") if one.key.endswith(".pin")]
    site.storage.put(key, b"{}", if_absent=False)
    plans = plan_prune(site.request(wal="3d", count=1), host=site.host)
    assert [refusal.code for plan in plans.plans for refusal in plan.refusals] == ["retention.unreadable"]
    assert format_time(NOW)[:10] in plans_text(plans)
