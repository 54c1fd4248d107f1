# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole hosts for tests: ``start_hosts("one", "two")`` gives a fleet of them, which is gone after the module.

``tests/support/hosts/fleet.py`` says what a host can be asked for.
"""

from __future__ import annotations

import contextlib
import typing as t

import pytest

from tests.support.hosts.commands import HostsUnavailable
from tests.support.hosts.fleet import Fleet, fleet

StartHosts = t.Callable[..., Fleet]


@pytest.fixture(scope="session")
def able_machine() -> None:
    """One host was started here, and is gone: whatever fails from now on is a failure."""
    try:
        with fleet("probe"):
            pass
    except HostsUnavailable as error:
        pytest.skip(f"SKIPPED LOUDLY: no whole hosts on this machine: {error}")


@pytest.fixture(scope="module")
def start_hosts(able_machine: None) -> t.Iterator[StartHosts]:
    """Starts hosts of the names that it is given; they are gone after the module's last test."""
    with contextlib.ExitStack() as fleets:

        def start(*names: str, suite: str = "", small_disks: t.Mapping[str, str] | None = None) -> Fleet:
            return fleets.enter_context(fleet(*names, suite=suite, small_disks=small_disks))

        yield start


#: Processes take whole files; what takes longest begins.
_FIRST = ("test_roles.py", "test_hard_days.py", "test_dedicated_host.py", "test_molecule.py", "test_getting_started.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test of a machine makes the root file system, which takes minutes."""
    ours = [item for item in items if "/tests/hosts/" in str(item.path)]
    for item in ours:
        item.add_marker(pytest.mark.timeout(1200))
    if len(ours) == len(items):
        items.sort(key=lambda item: _FIRST.index(item.path.name) if item.path.name in _FIRST else len(_FIRST))
