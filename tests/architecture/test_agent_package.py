# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role ``agent`` installs is what pyproject.toml and the pinned requirements say."""

from __future__ import annotations

import ast
import pathlib
import re
import tomllib
import typing as t

import yaml

from ansible_collections.lifeboat.recovery.plugins.lookup import agent_wheels
from tools import agent_requirements

ROOT = pathlib.Path(__file__).parents[2]
ROLES = sorted(path.parent.parent for path in (ROOT / "roles").glob("*/meta/argument_specs.yml"))


def test_the_wheel_needs_what_the_project_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(f'{one}; extra == "{name}"' for name in extras for one in extras[name])]
    assert sorted(agent_wheels.REQUIRES) == sorted(wanted)
    assert sorted(agent_wheels.EXTRAS) == sorted(extras)
    assert project["requires-python"] == agent_wheels.REQUIRES_PYTHON
    assert project["scripts"] == {"lifeboat": "lifeboat.cli:main"}


def test_the_pins_of_the_role_are_those_of_the_project() -> None:
    """Run tools/agent_requirements.py after a change of the requirements."""
    written = {path.stem: path.read_text(encoding="utf-8") for path in agent_requirements.FOLDER.glob("*.txt")}
    assert written == agent_requirements.texts()


def test_every_library_of_a_part_is_pinned() -> None:
    texts = agent_requirements.texts()
    for requirement in agent_wheels.REQUIRES:
        name, _colon, condition = requirement.partition(";")
        part = (re.findall(r'"(\w+)"', condition) or ["base"])[0]
        package = re.split("[>=]", name)[0]
        assert re.search(rf"(?mi)^{re.escape(package)}==", texts[part]), f"{package} in {part}"


def test_every_role_has_its_documents() -> None:
    assert {path.name for path in ROLES} == {path.name for path in (ROOT / "roles").iterdir()}
    for role in ROLES:
        for name in ("README.md", "defaults/main.yml", "meta/main.yml", "tasks/main.yml"):
            assert (role / name).exists(), f"{role.name}/{name}"


def test_defaults_specifications_and_pages_name_the_same_variables() -> None:
    for role in ROLES:
        defaults: dict[str, t.Any] = yaml.safe_load((role / "defaults/main.yml").read_text(encoding="utf-8"))
        specification = yaml.safe_load((role / "meta/argument_specs.yml").read_text(encoding="utf-8"))
        options = specification["argument_specs"]["main"]["options"]
        for shared in ("lifeboat_services", "lifeboat_repositories", "lifeboat_settings"):
            assert "default" not in options.pop(shared), role.name  # the inventory's own
        assert sorted(options) == sorted(defaults), role.name
        for name, default in defaults.items():
            if not (isinstance(default, str) and "{{" in default):
                assert options[name].get("default") == default, name
        page = (role / "README.md").read_text(encoding="utf-8")
        assert [name for name in options if f"| `{name}` |" not in page] == [], role.name


def test_every_page_of_a_role_has_the_same_headings() -> None:
    pages = {role.name: re.findall("(?m)^## .*", (role / "README.md").read_text(encoding="utf-8")) for role in ROLES}
    headings = next(iter(pages.values()))
    assert headings
    assert {name: found for name, found in pages.items() if found != headings} == {}


def _constants(tree: ast.Module) -> t.Iterator[tuple[str, str]]:
    """The names of texts on the first level of a module: ``A = "a"`` and ``A, B = "a", "b"``."""
    for one in tree.body:
        if isinstance(one, ast.Assign):
            names = one.targets[0].elts if isinstance(one.targets[0], ast.Tuple) else [one.targets[0]]
            values = one.value.elts if isinstance(one.value, ast.Tuple) else [one.value]
            for name, value in zip(names, values, strict=False):
                if isinstance(name, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield name.id, value.value


def _folders_of_state() -> set[str]:
    """The first parts of the names that the engine gives to folders of its state directory."""
    trees = [
        ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "plugins/module_utils/_engine").rglob("*.py")
    ]
    public = {name: value for tree in trees for name, value in _constants(tree) if not name.startswith("_")}
    found = set()
    for tree in trees:
        texts = public | dict(_constants(tree))
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.args:
                owner = ast.unparse(call.func.value).rpartition(".")[2].lstrip("_")
                if call.func.attr in ("folder", "write") and owner == "state":
                    name = call.args[0]
                    text = name.value if isinstance(name, ast.Constant) else texts.get(ast.unparse(name), "")
                    found.add(str(text).partition("/")[0])
    return found - {""}


def test_removing_the_agent_removes_every_folder_of_its_state() -> None:
    listed = yaml.safe_load((ROOT / "roles/agent/vars/main.yml").read_text(encoding="utf-8"))["agent_state_folders"]
    found = _folders_of_state()
    assert found >= {"locks", "looks", "notify", "restores", "files"}, "or this proves nothing"
    assert sorted(found - set(listed)) == []
