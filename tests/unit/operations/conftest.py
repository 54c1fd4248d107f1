# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every test of the operation has a bench of its own."""

from __future__ import annotations

import pathlib

import pytest

from tests.support.backups import make_source
from tests.support.bench import Bench


@pytest.fixture
def bench(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


@pytest.fixture
def small_bench(bench: Bench) -> Bench:
    # Less than any buffer on the way: each payload comes out of its pipe in one piece.
    bench.source = make_source(bench.folder / "small", size=2_000)
    return bench
