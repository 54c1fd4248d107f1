# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the catalog to a running cluster and back: what is chosen, what must be confirmed, what can be taken back."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Selection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.choosing import NEWEST
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.earlier_restores import (
    discard_restore,
    roll_back_restore,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restore import (
    plan_restore,
    run_restore,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restore_values import (
    EarlierRestore,
    RestoreRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verify import run_verifications
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verify_values import (
    Proof,
    VerifyRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.recovery import (
    restore_plan_text,
    restore_text,
    verify_text,
)
from sandbox.postgresql import PostgreSQLServer, operating_system_user
from tests.integration.postgresql.physical import Physical, physical

pytestmark = pytest.mark.slow


class Place:
    """A repository, and a folder for clusters."""

    def __init__(self, rig: Physical) -> None:
        self.rig = rig
        self.clusters = rig.folder / "clusters"
        self.clusters.mkdir()
        user = operating_system_user()
        if user is not None:
            shutil.chown(self.clusters, user)
        self.repositories = (RepositoryRequest(name="it", description={"type": "file", "path": str(rig.repository)}),)
        self.selection = Selection(service="shop", source="main", kind="base")

    def verify(self) -> None:
        bin_directory = str(self.rig.server.bin_directory)
        result = run_verifications(
            VerifyRequest(
                repositories=self.repositories,
                selection=self.selection,
                proof=Proof(level=4, options={"postgresql": {"bin_directory": bin_directory}}),
                scratch_directory=str(self.rig.folder / "scratch"),
                state_directory=self.rig.state.path,
            ),
            host=self.rig.host,
        )
        assert result.error is None, result.error
        assert "time to recover" in verify_text(result.outcomes[0])

    def restore(self, folder: Path, **more: t.Any) -> RestoreRequest:
        options = {"data_directory": str(folder), "bin_directory": str(self.rig.server.bin_directory)}
        options.update(more.pop("options", {}))
        return RestoreRequest(
            repositories=self.repositories,
            selection=self.selection,
            options=options,
            state_directory=self.rig.state.path,
            **more,
        )

    def earlier(self, restore_id: str, **more: t.Any) -> EarlierRestore:
        return EarlierRestore(
            restore_id=restore_id, repositories=self.repositories, state_directory=self.rig.state.path, **more
        )


@pytest.fixture
def place(distribution_server: PostgreSQLServer) -> t.Iterator[Place]:
    with physical(distribution_server) as rig:
        yield Place(rig)


@pytest.mark.smoke
def test_the_newest_verified_backup_is_taken_and_forecast(place: Place) -> None:
    target = place.clusters / "restored"
    backup_id = place.rig.backup()
    with pytest.raises(errors.BackupNotTrusted, match=backup_id):
        plan_restore(place.restore(target), host=place.rig.host)
    assert plan_restore(place.restore(target, point=NEWEST), host=place.rig.host).forecast is None
    place.verify()
    later = place.rig.backup()
    plan = plan_restore(place.restore(target), host=place.rig.host)
    assert plan.choice.manifest.backup_id == backup_id
    assert "1 newer not verified" in plan.choice.reason
    assert plan.forecast is not None
    assert plan.forecast.count == 1
    assert plan.inspection.replaces is None
    assert "replaces nothing" in restore_plan_text(plan)
    assert not target.exists(), "a plan changes nothing"
    assert plan_restore(place.restore(target, point=NEWEST), host=place.rig.host).choice.manifest.backup_id == later
    result = run_restore(place.restore(target), host=place.rig.host)
    assert result.state == "finished"
    assert (target / "PG_VERSION").exists()
    assert str(target) in restore_text(result)
    with pytest.raises(errors.LifeboatError):
        run_restore(place.restore(target), host=place.rig.host)  # it is not empty any more
    assert (target / "PG_VERSION").exists(), "what was restored stays when the next one is refused"


@pytest.mark.smoke
def test_replacing_needs_the_name_and_can_be_taken_back(place: Place) -> None:
    target = place.clusters / "main"
    place.rig.backup()
    run_restore(place.restore(target, point=NEWEST), host=place.rig.host)
    (target / "was-here").touch()
    in_place = {"in_place": True, "start": False}
    with pytest.raises(errors.RestoreConfirmationMissing) as refused:
        run_restore(place.restore(target, point=NEWEST, options=in_place), host=place.rig.host)
    name = str(refused.value.details["replaces"])
    with pytest.raises(errors.RestoreConfirmationMissing):
        run_restore(place.restore(target, point=NEWEST, options=in_place, confirm="yes"), host=place.rig.host)
    assert (target / "was-here").exists()

    first = run_restore(place.restore(target, point=NEWEST, options=in_place, confirm=name), host=place.rig.host)
    assert not (target / "was-here").exists()
    with pytest.raises(errors.RestoreConfirmationMissing):
        roll_back_restore(place.earlier(first.restore_id), host=place.rig.host)
    shutil.move(place.rig.repository, place.rig.folder / "gone")  # putting back needs no repository
    roll_back_restore(place.earlier(first.restore_id, confirm=first.target), host=place.rig.host)
    assert (target / "was-here").exists()
    shutil.move(place.rig.folder / "gone", place.rig.repository)

    second = run_restore(place.restore(target, point=NEWEST, options=in_place, confirm=name), host=place.rig.host)
    aside = Path(str(second.as_dict()["aside"][0]))
    assert (aside / "was-here").exists()
    with pytest.raises(errors.RestoreConfirmationMissing):
        discard_restore(place.earlier(second.restore_id), host=place.rig.host)
    assert aside.exists()
    discard_restore(place.earlier(second.restore_id, confirm=second.target), host=place.rig.host)
    assert not aside.exists()
    assert (target / "PG_VERSION").exists()
    with pytest.raises(errors.RestoreLedgerInvalid):
        roll_back_restore(place.earlier(second.restore_id, confirm=second.target), host=place.rig.host)
