# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that say the same thing in different places agree."""

from __future__ import annotations

import pathlib
import re
import tomllib

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENGINE = ROOT / "plugins/module_utils/_engine"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins(name: str) -> dict[str, list[str]]:
    """The lines `package==version` of a requirement file, by package in small letters."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        requirement = line.split("#", maxsplit=1)[0].strip()
        if requirement and not requirement.startswith("-"):
            assert "==" in requirement, f"{name}: {requirement} is not pinned"
            found.setdefault(requirement.split("==", maxsplit=1)[0].lower(), []).append(requirement)
    return found


def test_every_folder_of_the_engine_is_a_package() -> None:
    folders = {path.parent for path in ENGINE.rglob("*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").is_file()]


def test_the_action_group_holds_every_module() -> None:
    groups = yaml.safe_load((ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))["action_groups"]
    modules = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py") if path.stem != "__init__")
    assert sorted(groups["lifeboat"]) == modules


def test_one_version_everywhere() -> None:
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    assert galaxy["version"] == PYPROJECT["project"]["version"]


def test_every_library_of_the_package_is_pinned_at_or_above_its_lower_bound() -> None:
    project = PYPROJECT["project"]
    wanted = [
        *project["dependencies"],
        *(item for items in project["optional-dependencies"].values() for item in items),
    ]
    pinned = pins("requirements.txt")
    for requirement in wanted:
        name, bound = requirement.split(">=")
        versions = [re.split(r"==|;", line)[1].strip() for line in pinned[name.lower()]]
        assert all(numbers(version) >= numbers(bound) for version in versions), requirement


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def test_the_execution_environment_has_the_same_libraries() -> None:
    project = PYPROJECT["project"]
    wanted = {
        *project["dependencies"],
        *(item for items in project["optional-dependencies"].values() for item in items),
    }
    lines = (ROOT / "meta/ee-requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {line for line in lines if line and not line.startswith("#")} == wanted


def test_every_environment_pins_everything() -> None:
    for name in ("requirements-dev.txt", "requirements-newest.txt", "requirements-py39.txt", "constraints.txt"):
        assert pins(name), name


def test_both_environments_with_ansible_have_the_same_servers_and_test_runner() -> None:
    main, newest = pins("requirements-dev.txt"), pins("requirements-newest.txt")
    assert {name: lines for name, lines in newest.items() if name != "ansible-core"} == {
        name: main[name] for name in newest if name != "ansible-core"
    }
