# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which unit tests may be left out, and when.

The files that take longest, together a third of all: they start processes or try hundreds of inputs. And, with
``LIFEBOAT_ONE_OF_EACH=1``, the further cases of a test that has several: a run on another Python is about the code that
each test walks through, and the cases are about its inputs.
"""

from __future__ import annotations

import os
import pathlib

import pytest

_FOLDER = pathlib.Path(__file__).parent
#: Left out of `make test-fast` by their marker.
SLOW = (
    "catalog/test_document_fuzz.py",
    "description/test_schedule_zones.py",
    "notify/test_command.py",
    "notify/test_trouble.py",
    "operations/test_prune_command.py",
    "operations/test_prune_streams_and_bases.py",
    "operations/test_recovery_streams.py",
    "operations/test_ship_follow.py",
    "pipeline/test_delivery.py",
    "postgresql/test_wal_restore_script.py",
    "retention/test_golden_plans.py",
    "retention/test_properties.py",
    "retention/test_reference_policies.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the slow ones, and keep the first case of each when that is asked for."""
    files = {_FOLDER / name for name in SLOW}
    assert all(path.is_file() for path in files), "a file that is marked as slow is not there any more"
    for item in items:
        if item.path in files:
            item.add_marker(pytest.mark.slow)
    if os.environ.get("LIFEBOAT_ONE_OF_EACH") == "1":
        seen: set[str] = set()
        further = []
        for item in items:
            name = item.nodeid.partition("[")[0]
            if name in seen:
                further.append(item)
            seen.add(name)
        left_out = set(further)
        config.hook.pytest_deselected(items=further)
        items[:] = [item for item in items if item not in left_out]
