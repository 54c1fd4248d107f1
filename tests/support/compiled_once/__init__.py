# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that keep what they compile from archives; ``sitecustomize.py`` says why."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.children import ROOT

_FOLDER = Path(__file__).parent


def compiled_once() -> dict[str, str]:
    """Two variables; the compiled code is kept in ``.cache/compiled``."""
    place = ROOT / ".cache" / "compiled"
    place.mkdir(parents=True, exist_ok=True)
    return {"PYTHONPATH": str(_FOLDER), "LIFEBOAT_COMPILED_ONCE": str(place)}


def compile_once_in(libraries: Path) -> None:
    """The same for the interpreter that has its *libraries* (``site-packages``) there."""
    # By this name it would never be asked: Debian has one of its own.
    shutil.copy(_FOLDER / "sitecustomize.py", libraries / "compiled_once.py")
    (libraries / "compiled-once.pth").write_text("import compiled_once\n", encoding="utf-8")
    (libraries / "compiled-once").mkdir()
