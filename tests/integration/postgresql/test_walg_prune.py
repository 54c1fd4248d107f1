# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention of backups that the genuine WAL-G keeps: its own delete removes exactly what the plan says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import read_catalog
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.keep import keep_policy_from
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune import plan_prune, run_prune
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_lease import LEASE_KEY
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_results import PruneResult
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_values import (
    JobPolicy,
    PruneRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.prune import plans_text, pruned_text
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from tests.integration.postgresql.wal_rig import own
from tests.integration.postgresql.walg_rig import WalgRig, walg_rig
from tests.support.copies import put_verification

pytestmark = pytest.mark.interop

BASE = Series(service="shop", source="main", kind="base")
ROOT = Path(__file__).parents[3]


@dataclass
class Site:
    """A rig, and what is asked of retention there; *places* are the repositories by name."""

    rig: WalgRig
    places: dict[str, Path] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)

    def make(self, *steps: int) -> list[str]:
        """A segment and a verified backup for each of *steps* (0: a full one); their names with WAL-G."""
        for max_steps in steps:
            self.rig.segment()
            self.made.append(self.rig.backup(max_steps=max_steps))
            self.verify(self.made[-1])
        self.rig.segment()
        time.sleep(1.1)  # a plan is for a whole second, and what came later is none of its business
        return [self.name(one) for one in self.made]

    def verify(self, backup_id: str) -> None:
        put_verification(self.storage("it"), self.rig.physical.source(backup_id).manifest, {"it": 4, "second": 4})

    def name(self, backup_id: str) -> str:
        return str(self.rig.content(backup_id)["walg"]["backup_name"])

    def storage(self, name: str) -> Storage:
        host = self.rig.physical.host
        return open_storage(self.description(name), name=name, clock=host.clock, runner=host.runner)

    def description(self, name: str) -> dict[str, t.Any]:
        return {"type": "file", "path": str(self.places[name])}

    def request(self, *, walg: t.Mapping[str, t.Any] | None = None, **keep: t.Any) -> PruneRequest:
        policy = JobPolicy(
            repository="it",
            series=BASE,
            engine="postgresql",
            job="shop/main/base",
            keep=keep_policy_from({"minimum_verified": 1, **keep}),
            walg=self.rig.place if walg is None else walg,
        )
        return PruneRequest(
            repositories=tuple(
                RepositoryRequest(name=name, description=self.description(name)) for name in self.places
            ),
            policies=tuple(replace(policy, repository=name) for name in self.places),
            allow=frozenset({"share"}),
            state_directory=str(self.rig.folder / "state"),
        )

    def prune(self, request: PruneRequest | None = None, **keep: t.Any) -> PruneResult:
        return run_prune(request or self.request(**keep), host=self.rig.physical.host)

    def listed(self, name: str = "it") -> list[str]:
        """The ids of the backups that a repository shows."""
        reading = read_catalog({name: self.storage(name)})
        assert not reading.problems
        return [one.manifest.backup_id for one in reading.backups]

    def unfinished(self) -> list[str]:
        removals = read_catalog({"it": self.storage("it")}).removals
        return [one.folder.backup_id for one in removals if one.state == "deleting"]

    def there(self) -> set[str]:
        """The names of all of which WAL-G's storage has anything at all."""
        found = (self.rig.storage / "basebackups_005").iterdir()
        return {one.name.replace("_backup_stop_sentinel.json", "") for one in found}

    def wal(self) -> list[str]:
        """The segments in WAL-G's storage."""
        files = (self.rig.storage / "wal_005").iterdir()
        return sorted(one.name[:24] for one in files if one.name.endswith(".lz4") and one.name[24:] == ".lz4")

    def forget_the_dead(self) -> None:
        """Whoever died had the lease of the repository; an operator breaks it with `lifeboat repo unlock`."""
        self.storage("it").delete([LEASE_KEY])


@pytest.fixture
def site() -> t.Iterator[Site]:
    with walg_rig() as rig:
        rig.segment()
        yield Site(rig=rig, places={"it": rig.physical.repository})


@pytest.mark.slow
def test_exactly_what_the_plan_says_goes_with_the_wal_that_only_it_needed(site: Site) -> None:
    names = site.make(0, 3, 3, 0, 3)
    request = site.request(count=2)
    plans = plan_prune(request, host=site.rig.physical.host)
    assert [one.name for one in plans.vendors[0].removes] == names[:3]
    assert [one.name for one in plans.vendors[0].keeps] == names[3:]
    text = plans_text(plans)
    assert f"wal-g in {site.rig.storage}: wal-g itself removes 3" in text
    assert names[0] in text
    assert f"WAL before {names[3][5:29]}" in text
    backup = next(one for one in plans.as_dicts()[0]["backups"] if one["id"] == site.made[1])
    assert backup["parent"] == site.made[0]
    assert backup["vendor"]["name"] == names[1]
    assert site.there() == set(names), "a plan changes nothing"
    result = run_prune(request, plan_hash=plans.hash, host=site.rig.physical.host)
    assert result.error is None, pruned_text(result)
    assert site.there() == set(names[3:])
    assert site.listed() == site.made[3:]
    assert site.wal()[0] == names[3][5:29], "the oldest that stays begins with its own segment"
    assert result.repositories[0].vendor_logs[str(site.rig.storage)] > 3
    assert not plan_prune(request, host=site.rig.physical.host).removes_something
    site.rig.run("backup-fetch", str(own_folder(site.rig.folder / "fetched")), names[4])


def own_folder(path: Path) -> Path:
    path.mkdir()
    own(path)
    return path


@pytest.mark.slow
def test_a_delta_that_stays_keeps_all_that_it_builds_on(site: Site) -> None:
    names = site.make(0, 3, 3)
    result = site.prune(count=1)
    assert result.error is None
    assert site.there() == set(names)
    assert site.listed() == site.made
    reasons = result.plans.plans[0].decisions[0].reasons
    assert any("builds on" in one or "base of" in one for one in reasons), reasons


@pytest.mark.slow
def test_a_delta_that_nobody_knows_here_is_seen_before_anything_goes(site: Site) -> None:
    """Made by hand: the plan does not know it, and delete target would take it along without asking."""
    names = site.make(0)
    environment = {"PGHOST": "127.0.0.1", "PGPORT": str(site.rig.server.port), "PGUSER": "postgres"}
    pushed = site.rig.run(
        "backup-push",
        str(site.rig.server.data_directory),
        WALG_DELTA_MAX_STEPS="3",
        PGPASSWORD=site.rig.server.password,
        **environment,
    )
    by_hand = next(iter(site.there() - set(names)))
    assert names[0][5:] in by_hand, pushed.stderr
    site.make(0)
    result = site.prune(count=1)
    assert isinstance(result.error, errors.WalgRemovalUnplanned), result.error
    assert by_hand in result.error.message
    assert site.there() >= {names[0], by_hand}
    assert site.listed() == site.made
    assert not site.unfinished()
    site.rig.run("delete", "target", by_hand, "--confirm")
    assert site.prune(count=1).error is None
    assert site.listed() == site.made[1:]


@pytest.mark.slow
def test_a_permanent_backup_stays_and_so_does_the_wal_behind_it(site: Site) -> None:
    """WAL-G's own `delete target --confirm` removes it without a word, and garbage takes the WAL behind it."""
    names = site.make(0, 0, 0)
    site.rig.run("backup-mark", names[0])
    before = site.wal()
    result = site.prune(count=1)
    assert isinstance(result.error, errors.WalgBackupPermanent), result.error
    assert site.there() >= {names[0], names[2]}
    assert site.made[0] in site.listed()
    assert names[1] not in site.there()
    assert "postgresql.walg_removal_unplanned" in pruned_text(result)
    assert site.wal() == before, "a recovery from the first one reads all of it"
    assert site.unfinished() == [site.made[1]]
    site.rig.run("backup-mark", "-i", names[0])
    assert site.prune(count=1).error is None
    assert site.there() == {names[2]}
    assert site.wal()[0] == names[2][5:29]
    assert not site.unfinished()


@pytest.mark.slow
def test_where_wal_g_may_not_delete_the_removal_stays_unfinished_until_it_may(site: Site) -> None:
    names = site.make(0, 0)
    folder = site.rig.storage / "basebackups_005" / names[0] / "tar_partitions"
    folder.chmod(0o500)
    result = site.prune(count=1)
    assert isinstance(result.error, errors.WalgRemovalDenied), result.error
    assert site.listed() == site.made[1:], "what is half gone is no backup"
    assert site.unfinished() == [site.made[0]]
    assert "unfinished" in plans_text(plan_prune(site.request(count=1), host=site.rig.physical.host))
    # Again, and nothing is better: WAL-G does not list it any more, and what is left of it is not forgotten.
    assert isinstance(site.prune(count=1).error, errors.WalgRemovalDenied)
    assert site.unfinished() == [site.made[0]]
    folder.chmod(0o700)
    assert site.prune(count=1).error is None
    assert site.there() == {names[1]}
    assert not site.unfinished()
    assert site.wal()[0] == names[1][5:29]


@pytest.mark.slow
def test_without_wal_g_or_with_another_storage_nothing_is_marked(site: Site) -> None:
    names = site.make(0, 0)
    missing = site.prune(site.request(walg={**site.rig.place, "program": "/nowhere/wal-g"}, count=1))
    assert isinstance(missing.error, errors.ToolMissing), missing.error
    other = site.rig.folder / "other.json"
    other.write_text(json.dumps({"WALG_FILE_PREFIX": str(own_folder(site.rig.folder / "other"))}))
    elsewhere = site.prune(site.request(walg={**site.rig.place, "config": str(other)}, count=1))
    assert isinstance(elsewhere.error, errors.WalgConfigurationInvalid), elsewhere.error
    # A storage that is not mounted lists nothing: that is not taken for gone.
    away = site.rig.folder / "away"
    site.rig.storage.rename(away)
    own_folder(site.rig.storage)
    empty = site.prune(count=1)
    assert isinstance(empty.error, errors.WalgBackupMissing), empty.error
    site.rig.storage.rename(site.rig.folder / "empty")
    away.rename(site.rig.storage)
    assert site.listed() == site.made
    assert not site.unfinished()
    assert site.there() == set(names)


@pytest.mark.slow
def test_data_goes_with_the_last_repository_that_names_it(site: Site) -> None:
    names = site.make(0, 0)
    second = site.rig.folder / "second"
    subprocess.run(["cp", "-a", site.rig.physical.repository, second], check=True, timeout=30)
    both = {"it": site.rig.physical.repository, "second": second}
    site.places = both
    first_only = replace(site.request(count=1), prune=("it",))
    plans = plan_prune(first_only, host=site.rig.physical.host)
    assert plans.vendors[0].removes == ()
    assert site.prune(first_only).error is None
    assert site.listed("it") == site.made[1:]
    assert site.listed("second") == site.made
    assert site.there() == set(names), "the second repository still names it"
    assert site.prune(count=1).error is None
    assert site.listed("second") == site.made[1:]
    assert site.there() == {names[1]}


#: Injects a fault and nothing else: runs the genuine program, and before, in or after a delete says that it is time to
#: die and waits until the pruner has. It runs as the server's account, which may not kill anybody else's process.
KILLER = """#!/bin/sh
pruner=$(cat {folder}/pruner 2>/dev/null)
die() {{
    touch {flags}/now
    while [ -d "/proc/$pruner" ]; do sleep 0.1; done
    exit 1
}}
case "$*" in
*"delete {what}"*--confirm*)
    [ {when} = before ] && die
    [ {when} = amid ] && rm {storage}/basebackups_005/{victim}_backup_stop_sentinel.json && die
    {program} "$@"
    die
    ;;
*) exec {program} "$@" ;;
esac
"""
PRUNE = """
import json, os, sys
from tests.integration.postgresql.test_walg_prune import prune_by_description
open(sys.argv[2], "w").write(str(os.getpid()))
prune_by_description(json.loads(open(sys.argv[1]).read()))
"""


def prune_by_description(description: t.Mapping[str, t.Any]) -> None:
    """In a process of its own, which is killed."""
    request = PruneRequest(
        repositories=(RepositoryRequest(name="it", description=description["repository"]),),
        policies=(
            JobPolicy(
                repository="it",
                series=BASE,
                engine="postgresql",
                job="shop/main/base",
                keep=keep_policy_from(description["keep"]),
                walg=description["walg"],
            ),
        ),
        allow=frozenset({"share"}),
        state_directory=description["state"],
    )
    result = run_prune(request, host=Host())
    raise SystemExit(f"nobody killed it: {pruned_text(result)}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "when"),
    [("target", "before"), ("target", "amid"), ("target", "after"), ("garbage", "before"), ("garbage", "after")],
)
def test_killed_in_a_removal_the_next_run_finishes_it(site: Site, what: str, when: str) -> None:
    names = site.make(0, 3, 0)
    killer = site.rig.folder / "killer"
    flags = own_folder(site.rig.folder / "flags")
    script = KILLER.format(
        folder=site.rig.folder,
        flags=flags,
        storage=site.rig.storage,
        program=site.rig.program,
        what=what,
        when=when,
        victim=names[1],
    )
    killer.write_text(script)
    killer.chmod(0o755)
    description = {
        "repository": site.description("it"),
        "keep": {"count": 1, "minimum_verified": 1},
        "walg": {**site.rig.place, "program": str(killer)},
        "state": str(site.rig.folder / "state"),
    }
    asked = site.rig.folder / "asked.json"
    asked.write_text(json.dumps(description))
    pruner = subprocess.Popen(
        [sys.executable, "-c", PRUNE, str(asked), str(site.rig.folder / "pruner")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}/.collections:{ROOT}"},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (flags / "now").exists() and pruner.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    pruner.kill()
    said = pruner.communicate(timeout=30)[1]
    assert (flags / "now").exists(), said
    assert pruner.returncode == -signal.SIGKILL, said
    assert site.listed() == [site.made[2]], "what is going is shown nowhere"
    assert site.made[1] in site.unfinished(), "and it is not forgotten"
    assert names[2] in site.there()
    site.forget_the_dead()
    result = site.prune(count=1)
    assert result.error is None, pruned_text(result)
    if site.made[0] in site.unfinished():
        # Marked and whole: it is decided anew once the mark of the dead is void.
        assert set(site.there()) == {names[0], names[2]}
    else:
        assert site.there() == {names[2]}
        assert site.wal()[0] == names[2][5:29]
    assert site.made[1] not in site.unfinished()
    assert names[1] not in site.there()
    site.rig.run("backup-list", "--detail")
