# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions in the WAL, names of its segments, and names of databases as file names."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[A-Za-z0-9_+@,-]")


def parse_lsn(text: str) -> int:
    """A log sequence number, ``16/B374D848``, as a number of bytes. Raises ``ValueError`` when it is none."""
    high, _slash, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def wal_segment(*, timeline: int, position: int, segment_size: int) -> str:
    """The name of the WAL file that holds the byte at *position* (24 hexadecimal digits)."""
    number = position // segment_size
    per_id = 0x100000000 // segment_size
    return f"{timeline:08X}{number // per_id:08X}{number % per_id:08X}"


def wal_range(*, timeline: int, start: str, end: str, segment_size: int) -> tuple[str, str, int]:
    """First and last WAL segment of a base backup and how many they are. *end* is the position after the last byte."""
    first, last = parse_lsn(start), max(parse_lsn(start), parse_lsn(end) - 1)
    return (
        wal_segment(timeline=timeline, position=first, segment_size=segment_size),
        wal_segment(timeline=timeline, position=last, segment_size=segment_size),
        last // segment_size - first // segment_size + 1,
    )


def file_name(database: str) -> str:
    """A database's name as part of a file name: what repositories don't take is written ``=C3=A4``."""
    return "".join(
        character if _PLAIN.fullmatch(character) else "".join(f"={byte:02X}" for byte in character.encode("utf-8"))
        for character in database
    )
