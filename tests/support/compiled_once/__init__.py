# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of programs that keep what they compile from archives; ``sitecustomize.py`` says why."""

from __future__ import annotations

from pathlib import Path

from tests.support.children import ROOT


def compiled_once() -> dict[str, str]:
    """Two variables; the compiled code is kept in ``.cache/compiled``."""
    place = ROOT / ".cache" / "compiled"
    place.mkdir(parents=True, exist_ok=True)
    return {"PYTHONPATH": str(Path(__file__).parent), "LIFEBOAT_COMPILED_ONCE": str(place)}
