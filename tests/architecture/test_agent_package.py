# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role ``agent`` installs is what pyproject.toml and the pinned requirements say."""

from __future__ import annotations

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
