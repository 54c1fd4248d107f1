# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import dataclass

# Raise it when the content changes: servers that hold another version are loaded anew.
VERSION = 1


@dataclass(frozen=True)
class Loaded:
    """What a load did. ``items`` counts rows, documents or keys; ``skipped``: the same data was there already."""

    what: str
    megabytes: float
    items: int
    seconds: float
    skipped: bool


def marker(megabytes: float) -> str:
    """What is written last and found by the next load."""
    return f"lifeboat sandbox data set, version {VERSION}, {megabytes:g} MB"
