# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be told of a backup by reading it to its end, without a server: level 2 of a verification."""

from __future__ import annotations

import datetime
import typing as t

from ..catalog.manifest import Manifest
from ..core.clock import format_time
from ..core.progress import Progress
from ..pipeline.delivery import PayloadOutput
from ..recovery.payload_source import PayloadSource
from ..recovery.questions import FAILED, PASSED, Check
from .aof_unpack import UnpackedAof, compare_files, read_aof_tar
from .noted import Noted
from .rdb import RdbChecker, RdbFacts
from .restore_notes import AOF_PAYLOAD, RDB_PAYLOAD

_PIECE = 1024 * 1024
# How far the clocks of the server's host and of ours may be apart.
_CLOCK_SLACK = datetime.timedelta(minutes=10)


def list_rdb(source: PayloadSource, noted: Noted, *, progress: Progress) -> t.Iterator[Check]:
    """Read the snapshot: magic, end mark, checksum; then size, checksum and time against the manifest."""
    checker = RdbChecker()

    def read(stream: t.BinaryIO) -> None:
        while True:
            piece = stream.read(_PIECE)
            if not piece:
                return
            checker.feed(piece)

    source.deliver(RDB_PAYLOAD, PayloadOutput(read=read), progress=progress)
    facts = checker.finish()
    checksum = f"checksum {facts.crc64}" if facts.crc64 else "no checksum (rdbchecksum no)"
    yield _passed("snapshot", f"{facts.size} bytes of RDB version {facts.head.version}, {checksum}")
    yield from _same(
        ("version of the RDB", noted.rdb_version, facts.head.version),
        ("size of the RDB", source.manifest.content.get("rdb_size"), facts.size),
        ("checksum of the RDB", noted.crc64, facts.crc64),
    )
    yield from _times(source.manifest, noted, facts)


def list_aof(source: PayloadSource, noted: Noted, *, progress: Progress) -> t.Iterator[Check]:
    """Read the append-only files: every command and checksum; then names, lengths and counts against the manifest."""
    found: list[UnpackedAof] = []
    source.deliver(
        AOF_PAYLOAD, PayloadOutput(read=lambda stream: found.append(read_aof_tar(stream))), progress=progress
    )
    unpacked = found[0]
    commands = sum(facts.commands for facts in unpacked.files.values())
    yield _passed("append-only files", f"{len(unpacked.files)} files, {unpacked.size} bytes, {commands} commands")
    if noted.files:
        problems = compare_files(unpacked, noted)
        yield Check(
            name="append-only files of the manifest",
            state=FAILED if problems else PASSED,
            message="; ".join(problems[:5]) or "they are those that the manifest notes",
            found=problems,
        )


def _times(manifest: Manifest, noted: Noted, facts: RdbFacts) -> t.Iterator[Check]:
    """A snapshot of another day is a good snapshot, and no backup of this one."""
    if facts.head.created is None:
        return
    created = datetime.datetime.fromtimestamp(facts.head.created, tz=datetime.timezone.utc)
    yield from _same(("time of the snapshot", noted.snapshot_time, format_time(created)))
    early, late = manifest.started - _CLOCK_SLACK, manifest.finished + _CLOCK_SLACK
    is_right = early <= created <= late
    yield Check(
        name="age of the snapshot",
        state=PASSED if is_right else FAILED,
        message=f"the snapshot was begun at {format_time(created)}, and the backup ran from "
        f"{format_time(manifest.started)} to {format_time(manifest.finished)}"
        + ("" if is_right else ": it is another one (or the clocks are more than ten minutes apart)"),
        expected={"from": format_time(early), "to": format_time(late)},
        found=format_time(created),
    )


def _same(*compared: tuple[str, t.Any, t.Any]) -> t.Iterator[Check]:
    for name, noted, found in compared:
        if noted is None:
            continue  # made before it was noted
        is_right = noted == found
        message = f"{name}: {found}" + ("" if is_right else f", and the manifest says {noted}")
        yield Check(name=name, state=PASSED if is_right else FAILED, message=message, expected=noted, found=found)


def _passed(name: str, message: str) -> Check:
    return Check(name=name, state=PASSED, message=message)
