# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a PostgreSQL server must have for the kinds of backups that are made of it: settings, and rights of the role."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.description.duration import parse_duration
from ..core.errors import DurationInvalid
from .wal_archive_script import archive_command, is_archive_command

#: Where the script lies that a server archives its WAL with.
DEFAULT_SCRIPT = "/usr/local/lib/lifeboat/archive-wal"
# A quiet server loses at most a minute: what is left of it is for the way through the spool into the repositories.
_ARCHIVE_TIMEOUT = "45s"
_SUMMARIES_SINCE = 170000
_READ_ALL_SINCE = 140000
# A base backup takes one for the data, one for the WAL and one for the slot's connection; standbys need theirs.
_FEWEST_SENDERS, _SENDERS = 3, 10
_FEWEST_SLOTS, _SLOTS = 1, 10

#: What a server gives to those that follow it, beside kinds of backups.
STANDBY = "standby"
_PHYSICAL = ("base", "incremental", STANDBY)
# A standby that is away must not fill the disk of the server that everybody uses.
_KEEP = "10GB"
_BOUNDED_SINCE, _CHECKPOINT_SINCE = 130000, 150000
#: How ``archive_command`` is shown while nothing is archived.
DISABLED = "(disabled)"
#: Says done to everything: for a server that archives until its restart, and shall keep no WAL for anybody.
KEEP_NOTHING = "/bin/true"


@dataclass(frozen=True)
class WantedSetting:
    """A setting that must fit, and the value that is written where it does not. *restart*: only a restart takes it."""

    name: str
    value: str
    restart: bool
    fits: t.Callable[[str], bool]
    why: str


@dataclass(frozen=True)
class RoleNeeds:
    """Attributes and memberships of the jobs' role, in the order in which they are written."""

    attributes: tuple[str, ...]
    memberships: tuple[str, ...]

    @property
    def replication(self) -> bool:
        """Whether it opens replication connections."""
        return "REPLICATION" in self.attributes


def archive_settings(*, script: str, spool: str, timeout: str | None) -> dict[str, str]:
    """The settings that have a server archive into *spool*, in order; *timeout* is a length of time such as ``5m``."""
    chosen = timeout or _ARCHIVE_TIMEOUT
    return {
        "archive_mode": "on",
        "archive_command": archive_command(script=script, spool=spool),
        "archive_timeout": chosen.replace("m", "min") if chosen.endswith("m") else chosen,
    }


def role_needs(kinds: t.Collection[str], *, version: int) -> RoleNeeds:
    """The least that a role needs to make these kinds of backups."""
    attributes = ["REPLICATION"] if any(kind in kinds for kind in _PHYSICAL) else []
    memberships = ["pg_monitor"]
    if STANDBY in kinds and version >= _CHECKPOINT_SINCE:
        memberships.append("pg_checkpoint")  # before a rewind
    if "logical" in kinds:
        # Without it a table with row security would be dumped in part, and pg_dump refuses that.
        attributes.append("BYPASSRLS")
        if version >= _READ_ALL_SINCE:
            memberships.append("pg_read_all_data")
    return RoleNeeds(attributes=tuple(attributes), memberships=tuple(memberships))


def by_hand(kinds: t.Collection[str], *, version: int, role: str) -> tuple[str, ...]:
    """What has no right of its own on old servers."""
    if "logical" in kinds and version < _READ_ALL_SINCE:
        sentence = (
            "PostgreSQL before 14 has no role that reads everything. In each database: GRANT USAGE ON SCHEMA ... TO "
            f'"{role}"; GRANT SELECT ON ALL TABLES IN SCHEMA ... TO "{role}"; and the same for ALL SEQUENCES.'
        )
        return (sentence,)
    return ()


def wanted_settings(
    kinds: t.Collection[str],
    *,
    version: int,
    in_recovery: bool,
    spool: str,
    script: str,
    timeout: str | None,
    keep: str | None = None,
) -> tuple[WantedSetting, ...]:
    """The settings that these kinds need, in the order in which they are written; *keep* bounds slots. Pure."""
    found: list[WantedSetting] = []
    if "wal" in kinds or any(kind in kinds for kind in _PHYSICAL):
        found.append(
            WantedSetting(
                name="wal_level",
                value="replica",
                restart=True,
                fits=_one_of("replica", "logical", "archive", "hot_standby"),
                why="with less, the WAL does not hold what a recovery needs",
            )
        )
    if any(kind in kinds for kind in _PHYSICAL):
        found += [
            _number("max_wal_senders", _SENDERS, fewest=_FEWEST_SENDERS, why="a base backup comes over WAL senders"),
            _number("max_replication_slots", _SLOTS, fewest=_FEWEST_SLOTS, why="a slot keeps the WAL of a base backup"),
        ]
    if STANDBY in kinds and version >= _BOUNDED_SINCE:
        found.append(
            WantedSetting(
                name="max_slot_wal_keep_size",
                value=keep or _KEEP,
                restart=False,
                fits=(lambda found: found == keep) if keep else (lambda found: found != "-1"),
                why="without it a standby that is away fills the disk",
            )
        )
    if "incremental" in kinds and version >= _SUMMARIES_SINCE:
        found.append(
            WantedSetting(
                name="summarize_wal",
                value="on",
                restart=False,
                fits=_one_of("on"),
                why="an incremental backup reads the summaries",
            )
        )
    if "wal" in kinds:
        found += _archiving(in_recovery=in_recovery, spool=spool, script=script, timeout=timeout)
    return tuple(found)


def _archiving(*, in_recovery: bool, spool: str, script: str, timeout: str | None) -> list[WantedSetting]:
    values = archive_settings(script=script, spool=spool, timeout=timeout)
    seconds = int(parse_duration(timeout or _ARCHIVE_TIMEOUT).total_seconds())
    return [
        WantedSetting(
            name="archive_mode",
            # A standby hands WAL to somebody only when it is told to always.
            value="always" if in_recovery else values["archive_mode"],
            restart=True,
            fits=_one_of("always") if in_recovery else _one_of("on", "always"),
            why="until then no WAL is archived, and only base backups count",
        ),
        WantedSetting(
            name="archive_command",
            value=values["archive_command"],
            restart=False,
            fits=lambda found: is_archive_command(found, spool=spool),
            why="it feeds the spool",
        ),
        WantedSetting(
            name="archive_timeout",
            value=values["archive_timeout"],
            restart=False,
            fits=lambda found: 0 < _seconds(found) <= seconds,
            why="without it a write can wait for hours in a segment that does not fill",
        ),
    ]


def _number(name: str, value: int, *, fewest: int, why: str) -> WantedSetting:
    return WantedSetting(
        name=name,
        value=str(value),
        restart=True,
        fits=lambda found: found.isdigit() and int(found) >= fewest,
        why=why,
    )


def _one_of(*values: str) -> t.Callable[[str], bool]:
    return lambda found: found in values


def _seconds(text: str) -> int:
    """As the server shows it (a number), or as it is written in a file: ``45``, ``45s``, ``1min``."""
    found = text.strip().replace("min", "m")
    if found.isdigit():
        return int(found)
    try:
        return int(parse_duration(found).total_seconds())
    except DurationInvalid:  # an odd spelling in a file does not fit, and is written anew
        return 0
