# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab of two regions, built once: ``make lab``. It takes root, and what tests/hosts takes."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from tests.lab.building import two_regions
from tests.lab.lab import Lab
from tests.support.hosts.commands import HostsUnavailable
from tests.support.hosts.fleet import fleet

#: The tests follow one another on the same hosts: each begins where the one before it has ended.
ORDER = ("test_at_rest", "test_one_server", "test_region_lost", "test_way_home", "test_behind", "test_killed")


@pytest.fixture(scope="session")
def lab() -> t.Iterator[Lab]:
    try:
        with fleet("probe"):
            pass
    except HostsUnavailable as error:
        pytest.skip(f"SKIPPED LOUDLY: no whole hosts on this machine: {error}")
    with two_regions() as made:
        yield made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In their order, and whoever comes first builds it."""
    own = [item for item in items if "/tests/lab/" in str(item.path)]
    places = [place for place, item in enumerate(items) if item in own]
    for place, item in zip(places, sorted(own, key=lambda one: ORDER.index(Path(one.path).stem)), strict=True):
        items[place] = item
        item.add_marker(pytest.mark.timeout(1800))
