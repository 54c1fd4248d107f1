# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What storages that keep old versions and know locks promise: one test a promise of ``storage/base.py``."""

from __future__ import annotations

import datetime
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    StorageKeyInvalid,
    StorageNotFound,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import (
    DeleteReport,
    LockState,
    ObjectVersion,
    Storage,
)
from tests.conformance.reading_suite import keys_of

MONTH = datetime.timedelta(days=30)


class Places(t.NamedTuple):
    """One place, opened in two ways."""

    keeping: Storage  # versions: keep
    deleting: Storage  # versions: delete


class PlainSuite:
    """For storages without versions and locks: they say so, and never pretend."""

    def test_there_are_no_versions(self, storage: Storage) -> None:
        storage.put("a/b", b"one")
        storage.put("a/b", b"two", if_absent=False)
        storage.delete(["a/b"])
        storage.put("a/c", b"three")
        assert list(storage.versions()) == []
        assert list(storage.versions("a/")) == []
        assert storage.delete_versions([]) == DeleteReport()
        assert not storage.properties.versioned

    def test_nothing_is_locked_and_nothing_can_be(self, storage: Storage) -> None:
        storage.put("a", b"x")
        assert storage.lock_state("a") is None
        for reasons in (storage.extend_lock(["a"], until=now() + MONTH), storage.set_hold(["a"], on=True)):
            assert set(reasons) == {"a"}
            assert "lock" in reasons["a"]
        assert storage.lock_state("a") is None
        assert not storage.properties.locks
        report = storage.delete(["a"])
        assert (report.deleted, report.refused, report.deferred) == (("a",), {}, {})
        with pytest.raises(StorageNotFound):
            storage.lock_state("a")

    def test_the_clocks_agree(self, storage: Storage) -> None:
        assert abs(storage.clock_skew()) < 2


class VersionsSuite:
    """Every test has a place of its own."""

    #: Whether what was deleted can't be locked: else its marker is (SeaweedFS).
    markers_are_free = True

    def now(self) -> datetime.datetime:
        return now()

    def pass_time(self, seconds: float) -> None:
        """Let so much time pass, for the storage as well."""
        raise NotImplementedError

    # --- versions --------------------------------------------------------------------------------------------------

    def test_every_state_is_listed_the_latest_first(self, places: Places) -> None:
        storage = places.keeping
        storage.put("a/b", b"1")
        storage.put("a/b", b"22", if_absent=False)
        storage.put("a-b", b"x")
        storage.delete(["a/b"])
        storage.put("a/b", b"4444")
        storage.put("a/c", b"x")
        storage.delete(["a/c"])
        latest, *older = sizes(storage.versions("a/b"))
        assert latest == 4
        # S3 tells times in whole seconds, and markers apart from versions: all of these may be of the same second.
        assert sorted(older, key=str) == [1, 2, None]
        found = list(storage.versions())
        assert {version.key for version in found} == {"a/b", "a-b", "a/c"}
        assert are_together(found)
        assert [version.key for version in found if version.is_latest] == list(dict.fromkeys(one.key for one in found))
        assert [one.is_marker for one in found if one.is_latest and one.key == "a/c"] == [True]
        assert len({(version.key, version.version_id) for version in found}) == 7
        assert all(version.modified.utcoffset() is not None for version in found)
        assert {version.key for version in storage.versions("a/")} == {"a/b", "a/c"}
        assert list(storage.versions("nothing/")) == []

    def test_versions_are_known_to_be_kept_once_it_was_looked(self, places: Places) -> None:
        for storage in places:
            storage.check()
            assert storage.properties.versioned
            assert storage.properties.locks

    def test_a_delete_that_keeps_versions_hides(self, places: Places) -> None:
        storage = places.keeping
        storage.put("a/b", b"one")
        assert storage.delete(["a/b", "none"]) == DeleteReport(deleted=("a/b", "none"))
        assert keys_of(storage.list()) == []
        assert list(storage.list_folders()) == []
        with pytest.raises(StorageNotFound):
            storage.get("a/b")
        assert sizes(storage.versions("a/b")) == [None, 3]
        storage.put("a/b", b"again")
        assert storage.get("a/b") == b"again"

    def test_versions_that_are_deleted_are_gone(self, places: Places) -> None:
        storage = places.keeping
        for data in (b"1", b"22"):
            storage.put("a/b", data, if_absent=False)
        storage.put("a/c", b"stays")
        storage.delete(["a/b"])
        report = storage.delete_versions(list(storage.versions("a/b")))
        assert report == DeleteReport(deleted=("a/b",))
        assert sizes(storage.versions()) == [5]
        assert storage.delete_versions([*storage.versions("a/b")]) == DeleteReport()
        storage.put("a/b", b"new")
        assert storage.get("a/b") == b"new"

    def test_old_versions_go_while_the_newest_stays(self, places: Places) -> None:
        storage = places.keeping
        for data in (b"1", b"22", b"333"):
            storage.put("a", data, if_absent=False)
        report = storage.delete_versions([version for version in storage.versions() if not version.is_latest])
        assert report.deleted == ("a",)
        assert storage.get("a") == b"333"
        assert sizes(storage.versions()) == [3]

    def test_a_version_that_is_gone_already_is_no_error(self, places: Places) -> None:
        storage = places.keeping
        storage.put("a", b"1")
        versions = list(storage.versions())
        assert storage.delete_versions(versions).deleted == ("a",)
        assert storage.delete_versions(versions).deleted == ("a",)

    def test_a_delete_that_deletes_versions_leaves_none_and_touches_no_neighbour(self, places: Places) -> None:
        neighbours = ("a/b/cc", "a/b/e", "a/b/c-d", "a/b/d/e/f", "a-b", "ab", "a/bc", "a/b-c", "z")
        for key in ("a/b/c", "a/b/d", *neighbours):
            places.keeping.put(key, b"1")
            places.keeping.put(key, b"22", if_absent=False)
        places.keeping.delete(["a/b/d", "z"])
        report = places.deleting.delete(["a/b/c", "a/b/d", "a/none", "none"])
        assert sorted(report.deleted) == ["a/b/c", "a/b/d", "a/none", "none"]
        assert (report.refused, report.deferred, report.causes) == ({}, {}, ())
        assert {version.key for version in places.keeping.versions()} == set(neighbours)
        assert len(list(places.keeping.versions())) == 2 * len(neighbours) + 1
        assert sizes(places.keeping.versions("z")) == [None, 2, 1]

    def test_many_versions_of_one_key_and_few_of_many(self, places: Places) -> None:
        for number in range(30):
            places.keeping.put("lease", b"x" * number, if_absent=False)
        for number in range(30):
            places.keeping.put(f"a/{number:02d}", b"x")
        keys = ["lease", *(f"a/{number:02d}" for number in range(0, 30, 2))]
        assert places.deleting.delete(keys).deleted == tuple(keys)
        assert [version.key for version in places.keeping.versions()] == [
            f"a/{number:02d}" for number in range(1, 30, 2)
        ]

    def test_an_invalid_key_among_versions_deletes_nothing(self, places: Places) -> None:
        places.keeping.put("a", b"x")
        (version,) = places.keeping.versions()
        with pytest.raises(StorageKeyInvalid):
            places.keeping.delete_versions([version, ObjectVersion("../a", "1", 1, now(), True, False)])
        assert places.keeping.get("a") == b"x"

    # --- locks -----------------------------------------------------------------------------------------------------

    def test_an_object_is_not_locked_until_it_is(self, places: Places) -> None:
        storage = places.keeping
        storage.put("a", b"x")
        assert storage.lock_state("a") is None
        assert storage.extend_lock(["a"], until=self.now() + MONTH) == {}
        state = storage.lock_state("a")
        assert state is not None
        assert (state.mode, state.hold) == ("governance", False)
        assert state.until is not None
        assert datetime.timedelta(0) <= state.until - (self.now() + MONTH) + datetime.timedelta(seconds=60)
        assert state.binds(self.now())
        assert not state.binds(self.now() + 2 * MONTH)
        with pytest.raises(StorageNotFound):
            storage.lock_state("b")

    def test_a_lock_grows_and_never_shrinks(self, places: Places) -> None:
        storage = places.keeping
        storage.put("a", b"x")
        until = self.now() + MONTH
        assert storage.extend_lock(["a"], until=until) == {}
        first = lock_of(storage, "a")
        assert until_of(first) >= until
        assert storage.extend_lock(["a"], until=until - datetime.timedelta(days=1)) == {}
        assert lock_of(storage, "a") == first
        assert storage.extend_lock(["a"], until=until + datetime.timedelta(days=1)) == {}
        assert until_of(lock_of(storage, "a")) >= until + datetime.timedelta(days=1)

    def test_what_is_not_there_can_not_be_locked(self, places: Places) -> None:
        places.keeping.put("a", b"x")
        places.keeping.put("gone", b"x")
        places.keeping.delete(["gone"])
        for change in (
            lambda keys: places.keeping.extend_lock(keys, until=self.now() + MONTH),
            lambda keys: places.keeping.set_hold(keys, on=True),
        ):
            reasons = change(["none", "a", "gone", "a"])
            assert set(reasons) - {"gone"} == {"none"}
            assert "gone" in reasons or not self.markers_are_free
            assert all(reasons.values())
        state = lock_of(places.keeping, "a")
        assert state.hold
        assert state.until is not None
        with pytest.raises(StorageKeyInvalid):
            places.keeping.extend_lock(["../a"], until=self.now() + MONTH)

    def test_a_hold_is_put_on_and_taken_off(self, places: Places) -> None:
        storage = places.keeping
        storage.put("a", b"x")
        assert storage.set_hold(["a"], on=True) == {}
        assert storage.set_hold(["a"], on=True) == {}
        assert lock_of(storage, "a") == LockState(until=None, mode="", hold=True)
        assert storage.set_hold(["a"], on=False) == {}
        assert storage.lock_state("a") is None

    def test_what_is_locked_is_deferred_until_then(self, places: Places) -> None:
        storage = places.deleting
        for key in ("a/locked", "a/held", "a/both", "a/free"):
            storage.put(key, b"x")
        storage.extend_lock(["a/locked", "a/both"], until=self.now() + MONTH)
        storage.set_hold(["a/held", "a/both"], on=True)
        report = storage.delete(["a/locked", "a/held", "a/both", "a/free", "a/none"])
        assert report.deleted == ("a/free", "a/none")
        assert report.refused == {}
        assert report.causes == ()
        locked = lock_of(storage, "a/locked").until
        assert dict(report.deferred) == {"a/locked": locked, "a/held": None, "a/both": None}
        assert keys_of(storage.list()) == ["a/both", "a/held", "a/locked"]
        assert storage.get("a/locked") == b"x"

    def test_what_is_locked_can_be_hidden_and_stays_below(self, places: Places) -> None:
        places.keeping.put("a", b"x")
        places.keeping.set_hold(["a"], on=True)
        assert places.keeping.delete(["a"]).deleted == ("a",)
        # The marker isn't locked, and would go: then the object would be seen again.
        assert places.deleting.delete(["a"]).deferred == {"a": None}
        assert keys_of(places.keeping.list()) == []
        assert sizes(places.keeping.versions()) == [None, 1]

    def test_an_old_version_under_lock_keeps_the_newest(self, places: Places) -> None:
        """Else the old one would be what readers see."""
        places.keeping.put("a", b"old")
        places.keeping.set_hold(["a"], on=True)
        places.keeping.put("a", b"newer", if_absent=False)
        places.keeping.put("a", b"newest", if_absent=False)
        assert places.deleting.delete(["a"]).deferred == {"a": None}
        assert places.deleting.get("a") == b"newest"
        assert sizes(places.deleting.versions()) == [6, 3]

    def test_of_many_locks_the_longest_counts(self, places: Places) -> None:
        """As long as one version stays the others of it are of no use to wait for."""
        storage = places.deleting
        for key, days in {"a": (30, 60), "b": (60, 30), "c": (30, None), "d": (None, 30)}.items():
            for lock in days:
                storage.put(key, b"x", if_absent=False)
                if lock is None:
                    storage.set_hold([key], on=True)
                else:
                    storage.extend_lock([key], until=self.now() + datetime.timedelta(days=lock))
            storage.put(key, b"newest", if_absent=False)
        deferred = storage.delete(["a", "b", "c", "d"]).deferred
        assert (deferred["c"], deferred["d"]) == (None, None)
        for key in ("a", "b"):
            until = deferred[key]
            assert until is not None
            assert abs(until - self.now() - datetime.timedelta(days=60)) < datetime.timedelta(hours=1)
            assert storage.get(key) == b"newest"

    def test_what_is_released_goes(self, places: Places) -> None:
        storage = places.deleting
        storage.put("a", b"x")
        storage.set_hold(["a"], on=True)
        assert storage.delete(["a"]).deferred == {"a": None}
        storage.set_hold(["a"], on=False)
        assert storage.delete(["a"]).deleted == ("a",)
        assert list(storage.versions()) == []

    @pytest.mark.slow
    def test_a_lock_ends_by_itself(self, places: Places) -> None:
        storage = places.deleting
        storage.put("a", b"x")
        assert storage.extend_lock(["a"], until=self.now() + datetime.timedelta(seconds=5)) == {}
        until = until_of(lock_of(storage, "a"))
        assert storage.delete(["a"]).deferred == {"a": until}
        self.pass_time((until - self.now()).total_seconds() + 1)
        assert storage.delete(["a"]).deleted == ("a",)
        assert list(storage.versions()) == []

    def test_the_clocks_agree(self, places: Places) -> None:
        assert abs(places.keeping.clock_skew()) < 2


def now() -> datetime.datetime:
    return datetime.datetime.now(tz=datetime.timezone.utc)


def sizes(versions: t.Iterable[ObjectVersion]) -> list[int | None]:
    """The sizes; None for a marker."""
    return [None if version.is_marker else version.size for version in versions]


def are_together(versions: t.Sequence[ObjectVersion]) -> bool:
    """Whether each key's versions come one after the other, newest first."""
    keys = [version.key for version in versions]
    changes = [key for place, key in enumerate(keys) if place == 0 or keys[place - 1] != key]
    in_order = all(
        one.modified >= other.modified
        for one, other in zip(versions, versions[1:], strict=False)
        if one.key == other.key
    )
    return len(changes) == len(set(changes)) and in_order


def lock_of(storage: Storage, key: str) -> LockState:
    state = storage.lock_state(key)
    assert state is not None
    return state


def until_of(state: LockState) -> datetime.datetime:
    assert state.until is not None
    return state.until
