# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat prune``, ``pin`` and ``unpin`` as a person types them, on two repositories that are folders."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import shlex
import shutil
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.removal import Removal, removal_key
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import new_backup_id
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import prune as prune_module
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_lease import Lease, take_lease
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from tests.support.command_line import CommandLine
from tests.support.copies import described, put_backup, put_verification

DAYS = 45
NAMES = ("local", "offsite")
JOB = "family/main/full"


class Place:
    """Two repositories with a backup of each of the last 45 days, and the command line on them."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.description: dict[str, t.Any] = {
            "lifeboat_repositories": {name: {"type": "file", "path": str(folder / name)} for name in NAMES},
            "lifeboat_settings": {"state_directory": str(folder / "state")},
            "lifeboat_services": [
                {
                    "name": "family",
                    "sources": [
                        {
                            "name": "main",
                            "engine": "mongodb",
                            "connection": {"uri": "mongodb://127.0.0.1:1/?directConnection=true"},
                            "backups": [
                                {
                                    "kind": "full",
                                    "schedule": "0 0 * * *",
                                    "repositories": [{"name": "local", "keep": {"within": "30d"}}, "offsite"],
                                    "keep": {"daily": 40},
                                }
                            ],
                        }
                    ],
                }
            ],
        }
        self.write()
        now = datetime.datetime.now(tz=datetime.timezone.utc)
        self.ids = {age: new_backup_id(now=now - datetime.timedelta(days=age, minutes=10)) for age in range(DAYS)}

    def fill(self, *, verified: t.Callable[[int], bool]) -> Place:
        """Store the backups; those whose age in days is *verified* were proved to restore."""
        for name in NAMES:
            (self.folder / name).mkdir()
        for age, backup_id in self.ids.items():
            backup = described(backup_id, labels={"job": JOB})
            for storage in self.storages.values():
                put_backup(storage, backup)
                if verified(age):
                    put_verification(storage, backup, dict.fromkeys(NAMES, 4))
        return self

    def copied(self, folder: pathlib.Path) -> Place:
        """The same in another folder."""
        other = Place(folder)
        other.ids = self.ids
        for name in NAMES:
            shutil.copytree(self.folder / name, folder / name)
        return other

    @property
    def storages(self) -> dict[str, Storage]:
        """The repositories by name."""
        return {name: self._open(name) for name in NAMES}

    def write(self) -> None:
        """The description as it is now."""
        (self.folder / "config.json").write_text(json.dumps(self.description), encoding="utf-8")

    def lifeboat(self, *arguments: str) -> t.Any:
        """Run it."""
        return CommandLine(configuration=self.folder / "config.json")("", *arguments)

    def there(self, name: str) -> set[str]:
        """The ids of the backups that a list shows in that repository."""
        document = self.lifeboat("list", "--json", "--repository", name).succeeded().document
        return {backup["id"] for backup in document["backups"]}

    def _open(self, name: str) -> Storage:
        description = self.description["lifeboat_repositories"][name]
        return open_storage(description, name=name, clock=SystemClock(), runner=SubprocessRunner())


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("filled")).fill(verified=lambda _age: True)


@pytest.fixture
def place(filled: Place, tmp_path: pathlib.Path) -> Place:
    return filled.copied(tmp_path)


@pytest.mark.thorough
def test_a_plan_changes_nothing_and_its_hash_does_exactly_that(place: Place) -> None:
    plan = place.lifeboat("prune").succeeded()
    assert len(place.there("local")) == DAYS
    assert "local at" in plan.out
    assert "lifeboat prune --apply" in plan.out
    plan_hash = plan.out.rpartition("--apply ")[2].split()[0]
    done = place.lifeboat("prune", "--apply", plan_hash).succeeded()
    assert place.there("local") == {place.ids[age] for age in range(30)}
    assert place.there("offsite") == {place.ids[age] for age in range(40)}
    assert "15 backups removed" in done.out
    again = place.lifeboat("prune").succeeded()
    assert "Nothing would be removed." in again.out


def test_what_it_says_to_type_does_it_whatever_the_plan_was_made_with(place: Place) -> None:
    """A plan that some option changed is another one without it."""
    options = ["family/main", "--repository", "local", "--max-share", "0.2", "--allow", "share", "--sweep-age", "3d"]
    said = place.lifeboat("prune", *options).succeeded()
    typed = shlex.split(said.out.strip().rpartition("To have exactly this done: ")[2])
    assert typed[:1] == ["lifeboat"]
    place.lifeboat(*typed[1:]).succeeded()
    assert len(place.there("local")) == 30
    assert len(place.there("offsite")) == DAYS


def test_leftovers_are_shown_before_they_are_swept(place: Place) -> None:
    place.lifeboat("prune", "--yes").succeeded()
    key = described(new_backup_id(now=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc))).folder.key("dump")
    left = place.folder / "local" / key
    left.parent.mkdir()
    left.write_bytes(b"half")
    strange = place.folder / "local" / f"{JOB}/notes.txt"
    strange.write_bytes(b"by hand")
    assert "Nothing would be removed." in place.lifeboat("prune").succeeded().out
    long_ago = left.stat().st_mtime - datetime.timedelta(days=8).total_seconds()
    os.utime(left, (long_ago, long_ago))

    said = place.lifeboat("prune").succeeded()
    assert "leftovers that belong to nothing: 1 would be swept, 4 B" in said.out
    assert str(pathlib.PurePosixPath(key).parent) in said.out
    assert f"not of Lifeboat's making, and left alone: 1\n  {JOB}/notes.txt" in said.out
    assert "--apply" in said.out
    assert left.exists()
    document = place.lifeboat("prune", "--json").succeeded().document
    assert [one["objects"] for one in document["leftovers"]["local"]["orphans"]] == [1]

    done = place.lifeboat("prune", "--yes").succeeded()
    assert "swept: 1 leftovers" in done.out
    assert "not of Lifeboat's making" in done.out
    assert not left.exists()
    assert strange.exists()


def test_what_an_earlier_run_began_is_told_when_it_is_finished(place: Place) -> None:
    backup_id = place.ids[44]
    folder = described(backup_id).folder
    storage = place.storages["local"]
    removal = Removal(
        removal_id=new_backup_id(now=datetime.datetime.now(tz=datetime.timezone.utc)),
        backup_id=backup_id,
        repository="local",
        plan_hash="an earlier one",
        reasons=("too old",),
        started=datetime.datetime.now(tz=datetime.timezone.utc),
        host="db1",
        lifeboat_version="0.1.0",
    )
    storage.put(removal_key(folder, removal.removal_id), removal.as_bytes())
    storage.delete([folder.key(described(backup_id).payloads[0].name)])
    assert "an earlier run left 1 removal unfinished" in place.lifeboat("prune").succeeded().out
    done = place.lifeboat("prune", "--yes", "--repository", "local").succeeded()
    assert "local: 15 backups removed" in done.out
    assert "of an earlier run: 1" in done.out


def test_what_is_gone_here_by_policy_is_not_missing(place: Place) -> None:
    place.lifeboat("prune", "--yes").succeeded()
    document = place.lifeboat("list", "--json").succeeded().document
    by_id = {backup["id"]: backup for backup in document["backups"]}
    assert set(by_id[place.ids[35]]["repositories"]) == {"offsite"}
    assert not by_id[place.ids[35]]["partial"]


def test_another_plan_by_now_removes_nothing(place: Place) -> None:
    plan_hash = place.lifeboat("prune", "--json").succeeded().document["plan_hash"]
    place.lifeboat("pin", place.ids[40], "--reason", "the auditor asked").succeeded()
    place.lifeboat("prune", "--apply", plan_hash).refused("retention.plan_changed", status=1, hint="prune --plan")
    assert len(place.there("local")) == DAYS


def test_the_plan_in_a_file_is_done_exactly(place: Place) -> None:
    file = place.folder / "plan.json"
    place.lifeboat("prune", "--out", str(file)).succeeded()
    place.lifeboat("prune", "--apply", str(file)).succeeded()
    assert place.there("local") == {place.ids[age] for age in range(30)}


def test_the_plan_in_a_file_says_what_changed_since(place: Place) -> None:
    file = place.folder / "plan.json"
    place.lifeboat("prune", "--out", str(file)).succeeded()
    place.lifeboat("pin", place.ids[40], "--reason", "the auditor asked").succeeded()
    refused = place.lifeboat("prune", "--apply", str(file))
    refused.refused("retention.plan_changed", status=1, hint="prune --plan")
    assert f"local: {JOB}/{place.ids[40]} would stay now" in refused.err
    assert len(place.there("local")) == DAYS


@pytest.mark.thorough
def test_the_plan_in_a_file_is_refused_when_anything_in_it_was_changed(place: Place) -> None:
    file = place.folder / "plan.json"
    place.lifeboat("prune", "--out", str(file)).succeeded()
    text = file.read_text(encoding="utf-8")
    document = json.loads(text)
    other = {**document, "plan_hash": document["plan_hash"].replace("Z-", "Z-0")[:-1]}
    for bad in (
        "",
        "[]",
        "[" * 100_000,
        "\N{REPLACEMENT CHARACTER}",
        json.dumps({**document, "plans": []}),
        json.dumps({**document, "plans": document["plans"][:1]}),
        json.dumps(other),
        text.replace('"verdict": "kept"', '"verdict": "removed"', 1),
    ):
        file.write_text(bad, encoding="utf-8")
        place.lifeboat("prune", "--apply", str(file)).refused("retention.plan_invalid", status=2, hint="--out")
    assert len(place.there("local")) == DAYS


@pytest.mark.parametrize("given", ["", "abc", "20261121T020000Z", "20261121T020000Z-abc", "-" + 32 * "0"])
def test_what_is_no_hash(place: Place, given: str) -> None:
    place.lifeboat("prune", f"--apply={given}").refused("retention.plan_invalid", status=2)


def test_a_pin_holds_and_its_end_lets_go(place: Place) -> None:
    pinned = place.lifeboat("pin", place.ids[44], "--reason", "before the migration").succeeded()
    assert "before the migration" in pinned.out
    place.lifeboat("prune", "--yes").succeeded()
    assert place.ids[44] in place.there("local") & place.there("offsite")
    assert place.ids[43] not in place.there("local")
    place.lifeboat("unpin", place.ids[44]).succeeded()
    place.lifeboat("prune", "--yes").succeeded()
    assert place.ids[44] not in place.there("local") | place.there("offsite")


@pytest.mark.thorough
def test_nothing_goes_that_nothing_newer_was_proved_to_replace(tmp_path: pathlib.Path) -> None:
    """A month of backups that nobody could restore: the good ones before it stay, however old."""
    place = Place(tmp_path).fill(verified=lambda age: age >= 40)
    place.lifeboat("prune", "--yes")
    assert {place.ids[age] for age in (40, 41)} <= place.there("local")


def test_an_overdue_backup_stops_the_series(place: Place) -> None:
    for age in (0, 1, 2):
        for storage in place.storages.values():
            folder = described(place.ids[age]).folder
            storage.delete([found.key for found in storage.list(folder.key(""))])
    said = place.lifeboat("prune").ended(3)
    assert "[retention.overdue]" in said.out
    place.lifeboat("prune", "--yes")
    assert len(place.there("local")) == DAYS - 3
    place.lifeboat("prune", "--yes", "--allow", f"overdue:{JOB}")
    assert len(place.there("local")) == 27


def test_what_another_repository_learned_meanwhile_spares_what_had_failed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = described(place.ids[44], labels={"job": JOB})
    for storage in place.storages.values():
        put_verification(storage, backup, dict.fromkeys(NAMES, 4), error="a page is zero", number=2)

    def take_and_pass(storage: Storage, **more: t.Any) -> Lease:
        put_verification(place.storages["offsite"], backup, dict.fromkeys(NAMES, 4), number=3)
        return take_lease(storage, **more)

    monkeypatch.setattr(prune_module, "take_lease", take_and_pass)
    done = place.lifeboat("prune", "--yes", "--repository", "local").succeeded()
    assert f"stays all the same: {place.ids[44]}: it was verified meanwhile" in done.out
    assert place.there("local") == {place.ids[age] for age in (*range(30), 44)}


def test_a_word_that_overrides_nothing(place: Place) -> None:
    place.lifeboat("prune", "--allow", "everything").refused("request.invalid", hint="overdue")


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--allow", "share:family/main/fulll"], JOB),
        (["--max-share", "80"], "0.8"),
        (["--max-share=-0.1"], "0.8"),
        (["--max-share", "nan"], "0.8"),
        (["--max-number=-1"], "usual"),
        (["--sweep-age", "1d"], "2 days"),
    ],
)
def test_what_would_lift_a_guard_unseen_or_sweep_what_is_being_made_is_refused(
    place: Place, options: list[str], hint: str
) -> None:
    place.lifeboat("prune", "--yes", *options).refused("request.invalid", status=2, hint=hint)
    assert len(place.there("local")) == DAYS


def test_a_repository_that_is_gone_is_told_once(place: Place) -> None:
    shutil.rmtree(place.folder / "offsite")
    said = place.lifeboat("prune").ended(3)
    assert "1 entry of offsite can't be read" in said.out
    assert said.out.count("does not exist") == 1


def test_one_repository_alone(place: Place) -> None:
    place.lifeboat("prune", "--yes", "--repository", "local").succeeded()
    assert len(place.there("local")) == 30
    assert len(place.there("offsite")) == DAYS
    place.lifeboat("prune", "--repository", "nowhere").refused("request.invalid", hint="local, offsite")


def test_a_run_is_recorded(place: Place) -> None:
    place.lifeboat("prune", "--yes").succeeded()
    records = list((place.folder / "state").rglob("*prune.local*"))
    assert records
    assert '"removed"' in records[0].read_text(encoding="utf-8")


def test_money(place: Place, tmp_path: pathlib.Path) -> None:
    prices = tmp_path / "prices.yml"
    prices.write_text("currency: EUR\nclasses:\n  default: {gib_month: 100000000}\n", encoding="utf-8")
    said = place.lifeboat("prune", "--prices", str(prices)).succeeded()
    assert "EUR a month" in said.out
    prices.write_text("classes: {default: {price: 1}}\n", encoding="utf-8")
    place.lifeboat("prune", "--prices", str(prices)).refused("retention.prices_invalid", hint="gib_month")


def test_a_plan_in_a_file(place: Place, tmp_path: pathlib.Path) -> None:
    place.lifeboat("prune", "--out", str(tmp_path / "plan.json")).succeeded()
    document = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    assert [one["repository"] for one in document["plans"]] == ["local", "offsite"]
    assert document["plans"][0]["summary"]["removed"] == 15
