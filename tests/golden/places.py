# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the golden repositories lie: ``tests/fixtures/golden/format-<number>``, one folder for each format version."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "golden"
# A private key that everybody can read, for one small backup without any secret in it.
KEY = "TEST-KEY-not-secret.txt"
REPOSITORY = "repository"
EXPECTED = "expected.json"
SERVICE = "golden"


def format_folder(version: int) -> Path:
    """The folder of one format version."""
    return FOLDER / f"format-{version}"


def formats() -> list[int]:
    """All format versions of which there is a golden repository."""
    return sorted(int(path.name.partition("-")[2]) for path in FOLDER.glob("format-*"))
