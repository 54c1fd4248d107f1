# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``docs/runbooks/wal.md`` explains every word by which the archive script refuses, and every warning by its name."""

from __future__ import annotations

import pathlib
import re

from lifeboat.postgresql.wal_archive_script import ARCHIVE_SCRIPT

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs/runbooks/wal.md").read_text(encoding="utf-8")
HEALTH = (ROOT / "plugins/module_utils/_engine/postgresql/wal_health.py").read_text(encoding="utf-8")


def section(number: int) -> set[str]:
    """The names in the first column of a section's table."""
    text = PAGE.partition(f"\n## {number}. ")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([a-z_-]+)`", cell)}


def test_every_refusal_of_the_script_has_its_row_and_no_other() -> None:
    words = set(re.findall(r"\brefuse ([a-z-]+) ", ARCHIVE_SCRIPT))
    assert len(words) > 10
    assert section(4) == words


def test_every_warning_has_its_row() -> None:
    names = set(re.findall(r'(?:found\[|^\s+)"([a-z]+-[a-z-]+)"(?:\]|:)', HEALTH, re.MULTILINE)) | {"standby"}
    assert len(names) > 5
    assert names - section(3) == set()
