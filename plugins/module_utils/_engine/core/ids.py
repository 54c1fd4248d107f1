# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of backups: ``20261121T020000Z-4f2c91``, sortable by time and unique without any coordination."""

from __future__ import annotations

import datetime
import re
import secrets

_TIME_FORMAT = "%Y%m%dT%H%M%SZ"
_BACKUP_ID = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z-[0-9a-f]{6}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def new_backup_id(*, now: datetime.datetime) -> str:
    """A new backup id: the start time in UTC to the second and 24 random bits."""
    return f"{now.astimezone(datetime.timezone.utc).strftime(_TIME_FORMAT)}-{secrets.token_hex(3)}"


def is_backup_id(text: str) -> bool:
    """Whether *text* is a backup id: its form, and a time that the calendar has."""
    return _time(text) is not None


def backup_id_time(backup_id: str) -> datetime.datetime:
    """When the backup of that id was started, in UTC. Raises ``ValueError`` when it is not a backup id."""
    found = _time(backup_id)
    if found is None:
        raise ValueError(f"{backup_id!r} is not a backup id such as 20261121T020000Z-4f2c91")
    return found


def is_name(text: str) -> bool:
    """Whether *text* can name a service, source or repository.

    Such names become folders, keys, lock files, metric labels and cron files, so they are kept to lower-case
    letters, digits, dot, dash and underscore, at most 63 long, and begin with a letter or digit.
    """
    return _NAME.fullmatch(text) is not None


def _time(text: str) -> datetime.datetime | None:
    found = _BACKUP_ID.fullmatch(text)
    if found is None:
        return None
    try:
        year, month, day, hour, minute, second = map(int, found.groups())
        return datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.timezone.utc)
    except ValueError:
        return None
