# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive says which backup it belongs to, in a text that is still a version."""

from __future__ import annotations

import re

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive_identity import (
    TOOL_VERSION,
    backup_id_in,
    tool_version,
)

ID = "20261121T020000Z-4f2c91"
# From semver.org, without the parts that don't matter here.
_SEMVER = re.compile(r"^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$")


def test_the_id_comes_back_and_the_text_is_a_version() -> None:
    assert backup_id_in(tool_version(ID)) == ID
    assert _SEMVER.match(tool_version(ID))
    assert tool_version(None) == TOOL_VERSION


@pytest.mark.parametrize(
    "version", ["", "100.10.0", "r100.9.4", "100.10.0+lifeboat.", "100.10.0+lifeboat.../../x", "100.10.0+other.1"]
)
def test_what_names_no_backup_names_none(version: str) -> None:
    assert backup_id_in(version) is None
