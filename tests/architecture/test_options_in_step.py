# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One option, four places: the description's schema, module, playbook task, storage registry. None may lag behind."""

from __future__ import annotations

import ast
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
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.schema_sources import QUESTION
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.kinds import KINDS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.option_names import (
    RESTORE_OPTIONS,
    VERIFY_OPTIONS,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restorer_kinds import RESTORERS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verifier_kinds import VERIFIERS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery import questions
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.service_control import (
    service_control_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from ansible_collections.lifeboat.recovery.plugins.modules import (
    backup_verify,
    files_backup,
    files_restore,
    mongo_dump,
    mongo_restore,
    pg_base_restore,
    pg_basebackup_walg,
    pg_logical_dump,
    pg_logical_restore,
    redis_restore,
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
    ("files", "config"): files_backup,
    ("files", "static"): files_backup,
    ("files", "app"): files_backup,
}
SET = ("files", "system")
RESTORE_MODULES = {
    ("mongodb", "full"): mongo_restore,
    ("postgresql", "logical"): pg_logical_restore,
    ("postgresql", "base"): pg_base_restore,
    ("postgresql", "incremental"): pg_base_restore,
    ("redis", "rdb"): redis_restore,
    ("redis", "aof"): redis_restore,
    ("redis", "aof-log"): redis_restore,
    ("files", "config"): files_restore,
    ("files", "static"): files_restore,
    ("files", "app"): files_restore,
}
# What every job has, whatever its engine; `kind` tells two kinds of one module apart; `trigger` and `whole` are the
# run's.
COMMON = set(_argspec.backup_options()) - {"fail_on_partial"} | {"connection", "kind", "trigger", "whole"}


def module_options(engine: str, kind: str) -> set[str]:
    module = MODULES[engine, kind]
    return set(getattr(module, "KIND_OPTIONS", {}).get(kind, module.OWN_OPTIONS))


def module_name(engine: str, kind: str) -> str:
    return str(MODULES[engine, kind].__name__).rpartition(".")[2]


def task_options(engine: str, kind: str) -> set[str]:
    (task,) = yaml.safe_load((ROOT / f"playbooks/tasks/backup/{engine}_{kind}.yml").read_text())
    return set(task[f"lifeboat.recovery.{module_name(engine, kind)}"]) - COMMON


def connection_options(spec: t.Mapping[str, t.Any]) -> set[str]:
    return set(spec["connection"]["options"])


def test_every_kind_that_can_run_has_a_producer_a_module_and_a_task() -> None:
    runnable = {(engine, kind) for engine, kinds in RUNNABLE_KINDS.items() for kind in kinds}
    assert set(KINDS) == runnable == set(MODULES) | {SET}
    # A set is of several engines: no module could carry them all, the host's agent makes it.
    assert (ROOT / "playbooks/tasks/backup/files_system.yml").exists()


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


def test_every_kind_that_can_be_restored_has_a_module() -> None:
    assert set(RESTORERS) == set(RESTORE_MODULES) == set(RESTORE_OPTIONS)
    for (_engine, kind), module in RESTORE_MODULES.items():
        # Append-only files have no backups that could be named: a point in time brings them back.
        assert kind in module.KINDS or kind == "aof-log"


@pytest.mark.parametrize(("engine", "kind"), RESTORE_MODULES)
def test_the_restore_module_has_every_option_of_the_restorer_and_decides_none(engine: str, kind: str) -> None:
    options = RESTORE_MODULES[engine, kind].OWN_OPTIONS
    assert set(options) == set(RESTORE_OPTIONS[engine, kind]) - {"connection"}
    # The restorers tell an option that was given from one that was not: some are for one way of restoring only.
    assert not [name for name, option in options.items() if "default" in option]
    # A spec of the module wins over a shared one of the same name, and would change what it means.
    assert not set(options) & set(_argspec.restore_options())


@pytest.mark.parametrize(("engine", "kind"), RESTORE_OPTIONS)
def test_the_restorer_takes_the_options_that_it_is_said_to_take(engine: str, kind: str) -> None:
    for name in RESTORE_OPTIONS[engine, kind]:
        # A value that nothing takes: the refusal is about the value when the key is known.
        value = {} if name == "connection" else object()
        assert "has no option" not in restorer_refusal(engine, kind, {name: value}), name
    assert "has no option" in restorer_refusal(engine, kind, {"nonsense": 1}), "the refusal has other words now"


def test_the_description_s_page_names_the_options_of_restores_and_verifications() -> None:
    page = (ROOT / "docs/description.md").read_text()
    for (engine, kind), names in RESTORE_OPTIONS.items():
        module = str(RESTORE_MODULES[engine, kind].__name__).rpartition(".")[2]
        assert f"| {engine} {kind} | `{module}` | {listed(names)} |" in page
    for engine, names in VERIFY_OPTIONS.items():
        assert f"| {engine} | {listed(names)} |" in page


def listed(names: t.Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def test_the_way_to_stop_a_server_is_the_same_everywhere() -> None:
    known = set(_argspec.service_control_option()["service_control"]["options"])
    for name in known:
        assert "has no option" not in control_refusal({name: "x"})
    assert "has no option" in control_refusal({"nonsense": "x"}), "the refusal has other words now"


def test_verification_can_be_told_every_option_of_every_verifier() -> None:
    assert {engine for engine, _kind in VERIFIERS} == set(VERIFY_OPTIONS) == set(backup_verify.ENGINE_OPTIONS)
    for (engine, kind), factory in VERIFIERS.items():
        assert set(backup_verify.ENGINE_OPTIONS[engine]) == set(VERIFY_OPTIONS[engine]), engine
        for name in VERIFY_OPTIONS[engine]:
            assert "has no option" not in verifier_refusal(factory, {name: object()}), f"{engine} {kind}: {name}"


def verifier_refusal(factory: t.Callable[[t.Mapping[str, t.Any]], t.Any], options: dict[str, t.Any]) -> str:
    try:
        factory(options)
    except RequestInvalid as error:
        return str(error.message)
    return ""


@pytest.mark.parametrize("path", sorted((ROOT / "plugins/modules").glob("*.py")), ids=lambda path: path.stem)
def test_every_module_is_documented_in_yaml_and_belongs_to_the_group(path: pathlib.Path) -> None:
    name = path.stem
    assert name in yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"]["lifeboat"]
    texts = {
        statement.targets[0].id: yaml.safe_load(ast.literal_eval(statement.value))
        for statement in ast.parse(path.read_text()).body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and statement.targets[0].id in ("DOCUMENTATION", "EXAMPLES", "RETURN")
    }
    assert texts["DOCUMENTATION"]["module"] == name
    assert texts["RETURN"]
    assert any(f"lifeboat.recovery.{name}" in task for task in texts["EXAMPLES"])


def test_module_and_description_ask_the_same_questions() -> None:
    said, taken = QUESTION["properties"], _argspec.questions_option()["questions"]["options"]
    assert set(taken) == set(said) == set(questions._KEYS)
    for way in ("count", "find", "aggregate", "within_percent_of", "within_count_of"):
        assert set(taken[way]["options"]) == set(said[way]["properties"]), way


@pytest.mark.parametrize("engine", ["mongodb", "postgresql", "redis", "files"])
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


def restorer_refusal(engine: str, kind: str, options: dict[str, t.Any]) -> str:
    try:
        RESTORERS[engine, kind](options)
    except RequestInvalid as error:
        return str(error.message)
    return ""


def control_refusal(description: dict[str, t.Any]) -> str:
    try:
        service_control_from(description)
    except RequestInvalid as error:
        return str(error.message)
    return ""


def refusal(description: dict[str, t.Any]) -> str:
    try:
        open_storage(description, name="x", clock=SystemClock(), runner=SubprocessRunner())
    except RequestInvalid as error:
        return str(error.message)
    return ""
