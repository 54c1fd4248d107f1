# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One option of a restore or a verification, three places: module, playbook task, filter. None may lag behind."""

from __future__ import annotations

import ast
import pathlib
import typing as t

import pytest
import yaml

pytest.importorskip("ansible", reason="the oldest Pythons have the engine only, no controller")

from ansible_collections.lifeboat.recovery.plugins.filter import restore_play
from ansible_collections.lifeboat.recovery.plugins.module_utils import _argspec
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restorer_kinds import RESTORERS

ROOT = pathlib.Path(__file__).parents[2]
TASKS = ROOT / "playbooks/tasks"
RESTORE_MODULES = sorted({restore_play.MODULES[kind] for kind in RESTORERS})


def documented(name: str) -> set[str]:
    """The options that are the module's own: those of its documentation, without what all share."""
    source = (ROOT / f"plugins/modules/{name}.py").read_text()
    (text,) = (
        node.value.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assign)
        and [getattr(one, "id", "") for one in node.targets] == ["DOCUMENTATION"]
        and isinstance(node.value, ast.Constant)
    )
    documentation = yaml.safe_load(str(text))
    fragments = documentation["extends_documentation_fragment"]
    shared = {name for name in ("service_control", "questions") if f"lifeboat.recovery._{name}" in fragments}
    return set(documentation["options"]) | shared


def task(path: str, name: str) -> dict[str, t.Any]:
    (found,) = yaml.safe_load((TASKS / path).read_text())
    options: dict[str, t.Any] = found[f"lifeboat.recovery.{name}"]
    return options


def test_the_playbook_can_restore_every_kind_that_the_engine_can() -> None:
    assert set(RESTORERS) <= set(restore_play.MODULES)


@pytest.mark.parametrize("name", RESTORE_MODULES)
def test_task_and_filter_have_every_option_of_the_module(name: str) -> None:
    own = documented(name) - {"kind"}
    assert own == set(restore_play.OPTIONS[name])
    common = set(_argspec.restore_options()) | {"connection"}
    points = set(_argspec.recover_to_option()) if name not in ("pg_logical_restore", "files_restore") else set()
    assert set(task(f"restore/{name}.yml", name)) - {"kind"} == own | common | points


def test_the_verifying_task_has_every_option_of_the_module() -> None:
    # The play fails at its end when one is not proved, and so does each task.
    wanted = documented("backup_verify") - {"fail_on_failed"} | set(_argspec.recovery_options())
    assert set(task("verify/prove.yml", "backup_verify")) == wanted
