# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A place to walk through a page: the command ``lifeboat``, a description, folders that servers' users can enter."""

from __future__ import annotations

import shutil
import stat
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest

from tests.integration.runbooks.walk import Walk
from tests.support.children import ENGINE


@pytest.fixture
def walk() -> t.Iterator[Walk]:
    folder = Path(tempfile.mkdtemp(prefix="lb-"))
    folder.chmod(0o755)
    programs = folder / "bin"
    programs.mkdir()
    command = programs / "lifeboat"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {ENGINE} "$@"\n', encoding="utf-8")
    command.chmod(command.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    yield Walk(folder=folder)
    shutil.rmtree(folder)
