# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``docs/code-map.md`` says what is there: whatever it names exists, and no room, module or playbook is left out."""

from __future__ import annotations

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
ENGINE = "plugins/module_utils/_engine/"
TEXT = (ROOT / "docs/code-map.md").read_text().replace("E/", ENGINE)
NAMED = set(re.findall(r"`([A-Za-z0-9_./-]+)`", TEXT))


def folders(below: str) -> set[str]:
    return {
        str(path.relative_to(ROOT)) + "/"
        for path in (ROOT / below).rglob("*")
        if path.is_dir() and any(path.glob("*.py")) and "__pycache__" not in path.parts
    }


def test_every_path_that_the_map_names_exists() -> None:
    paths = {name for name in NAMED if "/" in name}
    assert paths
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


def test_every_file_name_that_a_room_is_to_be_read_from_exists_in_it() -> None:
    for room, files in re.findall(
        r"^\| `(plugins/module_utils/_engine/[a-z/]+)`[^|]*\|[^|]*\| ([^|]+)\|$", TEXT, re.MULTILINE
    ):
        for name in re.findall(r"`([a-z_]+\.py)`", files):
            assert (ROOT / room / name).exists(), f"{room}{name}"


def test_no_room_of_the_engine_is_left_out() -> None:
    assert sorted(folders(ENGINE) - NAMED) == []


def test_no_module_playbook_or_test_suite_is_left_out() -> None:
    modules = {path.stem for path in (ROOT / "plugins/modules").glob("*.py")}
    playbooks = {path.name for path in (ROOT / "playbooks").glob("*.yml")}
    suites = {
        path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name not in ("support", "output")
    }
    suites -= {"__pycache__"}
    assert sorted((modules | playbooks | suites) - NAMED) == []


def test_no_top_level_folder_is_left_out() -> None:
    there = {
        path.name + "/"
        for path in ROOT.iterdir()
        if path.is_dir()
        and not path.name.startswith(".")
        and not path.name.endswith(".egg-info")
        and path.name != "build"
    }
    assert sorted(there - NAMED - {"plugins/"}) == []
