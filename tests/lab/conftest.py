# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab of two regions, built once: ``make lab``. It takes root, and what tests/hosts takes."""

from __future__ import annotations

import typing as t

import pytest

from tests.lab.lab import Lab, two_regions
from tests.support.hosts.commands import HostsUnavailable
from tests.support.hosts.fleet import fleet


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
    """Whoever comes first builds it."""
    for item in items:
        if "/tests/lab/" in str(item.path):
            item.add_marker(pytest.mark.timeout(1800))
