# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each engine tells retention of its stream."""

from __future__ import annotations

import typing as t

from ..mongodb.slice_marks import OPLOG_MARKS
from ..postgresql.wal_marks import WAL_MARKS
from ..recovery.stream_marks import StreamMarks
from ..redis.aof_log_marks import AOF_LOG_MARKS

STREAM_MARKS: t.Mapping[str, StreamMarks] = {
    "mongodb": OPLOG_MARKS,
    "postgresql": WAL_MARKS,
    "redis": AOF_LOG_MARKS,
}
