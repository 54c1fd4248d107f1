# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No module returns something of its own under a name by which Ansible says how a task went.

A list called ``skipped`` made tasks look skipped, and newer Ansible turned it into true or false.
"""

from __future__ import annotations

import ast
import pathlib

import pytest
import yaml

_MODULES = sorted((pathlib.Path(__file__).parents[2] / "plugins" / "modules").glob("*.py"))
#: What task results are read for, see TaskResult in ansible-core. ``warnings`` is not here: those are shown as such.
_ANSIBLES_OWN = {
    "changed",
    "deprecations",
    "diff",
    "exception",
    "failed",
    "failed_when_result",
    "invocation",
    "skip_reason",
    "skipped",
    "unreachable",
}


def _returned(path: pathlib.Path) -> set[str]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "RETURN":
            return set(yaml.safe_load(ast.literal_eval(node.value)))
    raise AssertionError(f"{path.name} has no RETURN")


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: path.stem)
def test_nothing_is_returned_under_a_name_of_ansibles(path: pathlib.Path) -> None:
    returned = _returned(path)
    assert returned, path.name
    assert not returned & _ANSIBLES_OWN
    assert not {name for name in returned if name.startswith("ansible_")}
