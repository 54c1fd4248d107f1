# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server whose archiving is well, to be changed."""

from __future__ import annotations

import datetime

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_archive_script import (
    archive_command,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_health import ArchivingState
from tests.support.wal import IDENTIFIER, MEBIBYTE

NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)
MINUTE = datetime.timedelta(minutes=1)
SPOOL = "/var/spool/lifeboat/family.main.wal"

HEALTHY = ArchivingState(
    system_identifier=IDENTIFIER,
    version="15.18",
    timeline=1,
    in_recovery=False,
    mode="on",
    mode_in_files="on",
    command=archive_command(script="/usr/local/lib/lifeboat/archive-wal", spool=SPOOL),
    library="",
    timeout_seconds=60,
    wal_level="replica",
    segment_size=16 * MEBIBYTE,
    current_lsn="0/5000100",
    data_directory="/var/lib/postgresql/15/main",
    archived_count=4,
    last_archived="000000010000000000000004",
    last_archived_time=NOON,
    failed_count=0,
    last_failed=None,
    last_failed_time=None,
    ready=(),
)
