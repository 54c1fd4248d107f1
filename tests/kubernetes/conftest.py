# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One cluster for the session. Where tools/kubernetes.sh has built none, all of it is skipped, and that is said."""

from __future__ import annotations

import typing as t

import pytest

from sandbox.kubernetes import Kubernetes, built


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each needs the programs, and takes seconds."""
    for item in items:
        if "/tests/kubernetes/" in str(item.path):
            item.add_marker(pytest.mark.kubernetes)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def cluster() -> t.Iterator[Kubernetes]:
    programs = built()
    if programs is None:
        pytest.skip(
            "NO KUBERNETES: nothing of applications on Kubernetes is tested here; run tools/kubernetes.sh first"
        )
    with Kubernetes(programs) as kubernetes:
        yield kubernetes
