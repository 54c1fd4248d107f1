# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One option, four places: the description's schema, module, playbook task, storage registry. None may lag behind."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
import yaml

from ansible_collections.lifeboat.recovery.plugins.module_utils import _argspec
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.kinds import RUNNABLE_KINDS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.schema_engines import (
    CONNECTIONS,
    OPTIONS,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.schema_repositories import (
    REPOSITORIES,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.kinds import KINDS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from ansible_collections.lifeboat.recovery.plugins.modules import (
    mongo_dump,
    pg_basebackup_walg,
    pg_logical_dump,
    redis_snapshot,
)

ROOT = pathlib.Path(__file__).parents[2]
MODULES = {
    ("mongodb", "full"): mongo_dump,
    ("postgresql", "logical"): pg_logical_dump,
    ("postgresql", "base"): pg_basebackup_walg,
    ("postgresql", "incremental"): pg_basebackup_walg,
    ("redis", "rdb"): redis_snapshot,
    ("redis", "aof"): redis_snapshot,
}
# What every job has, whatever its engine; `kind` tells two kinds of one module apart.
COMMON = set(_argspec.backup_options()) - {"fail_on_partial"} | {"connection", "kind"}


def module_options(engine: str, kind: str) -> set[str]:
    return set(MODULES[engine, kind].OWN_OPTIONS)


def module_name(engine: str, kind: str) -> str:
    return str(MODULES[engine, kind].__name__).rpartition(".")[2]


def task_options(engine: str, kind: str) -> set[str]:
    (task,) = yaml.safe_load((ROOT / f"playbooks/tasks/backup/{engine}_{kind}.yml").read_text())
    return set(task[f"lifeboat.recovery.{module_name(engine, kind)}"]) - COMMON


def connection_options(spec: t.Mapping[str, t.Any]) -> set[str]:
    return set(spec["connection"]["options"])


def test_every_kind_that_can_run_has_a_producer_a_module_and_a_task() -> None:
    runnable = {(engine, kind) for engine, kinds in RUNNABLE_KINDS.items() for kind in kinds}
    assert set(KINDS) == runnable == set(MODULES)


@pytest.mark.parametrize(("engine", "kind"), MODULES)
def test_the_playbook_passes_every_option_of_the_module(engine: str, kind: str) -> None:
    own = module_options(engine, kind)
    if (engine, kind) == ("redis", "aof"):
        own -= {"method"}  # the way to take an RDB
    assert task_options(engine, kind) == own


@pytest.mark.parametrize(("engine", "kind"), MODULES)
def test_the_description_can_say_every_option_of_the_module(engine: str, kind: str) -> None:
    own = module_options(engine, kind)
    if (engine, kind) == ("redis", "aof"):
        own -= {"method"}
    assert set(OPTIONS[engine][kind]) == own


@pytest.mark.parametrize("engine", ["mongodb", "postgresql", "redis"])
def test_the_description_can_say_every_option_of_the_connection(engine: str) -> None:
    spec = getattr(_argspec, f"{engine}_connection_option")()
    assert set(CONNECTIONS[engine]) == connection_options(spec)


def test_module_description_and_registry_take_the_same_options_of_repositories() -> None:
    options = _argspec.repositories_option()["repositories"]["options"]
    said = {key for kind in ("file", "s3") for key in REPOSITORIES[kind]["properties"]}
    assert said - {"description"} == set(options) - {"name"}


@pytest.mark.parametrize(("kind", "needed"), [("file", {"path": "/x"}), ("s3", {"bucket": "abc"})])
def test_the_registry_knows_every_key_that_the_description_allows(kind: str, needed: dict[str, str]) -> None:
    for key in set(REPOSITORIES[kind]["properties"]) - {"type"}:
        # A value that nothing takes: the refusal is about the value when the key is known.
        complaint = refusal({"type": kind, **needed, key: object()})
        assert "unknown key" not in complaint, key


def refusal(description: dict[str, t.Any]) -> str:
    try:
        open_storage(description, name="x", clock=SystemClock(), runner=SubprocessRunner())
    except RequestInvalid as error:
        return str(error.message)
    return ""
