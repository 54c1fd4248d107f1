# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump read to its end without a server: is it whole, of the right database, of the right day, with all tables?"""

from __future__ import annotations

import datetime
import re
import typing as t

from ..core.errors import PipelineFailed, PostgresDumpInvalid
from ..core.progress import Progress
from ..pipeline.delivery import PayloadOutput
from ..recovery.payload_source import PayloadSource
from ..recovery.questions import FAILED, PASSED, SKIPPED, Check
from .clients import ClientProgram
from .dump_folder import members
from .dump_loading import DIRECTORY_SUFFIX, Dump, open_dump
from .dump_toc import DumpToc, read_toc
from .dump_words import LoadWords
from .row_counts import noted_tables

_CLOCK_SLACK = datetime.timedelta(minutes=2)
# Where nobody noted the zone of a dump's clock: the earth has UTC-12 to UTC+14.
_EAST, _WEST = datetime.timedelta(hours=14), datetime.timedelta(hours=12)
# pg_dump ends the rows of each table by this line and two empty ones.
_END_OF_ROWS = b"\\.\n\n\n"
_TABLE_DATA = re.compile(r"dump/\d+\.dat", re.ASCII)


def read_through(
    source: PayloadSource, content: t.Mapping[str, t.Any], *, pg_restore: ClientProgram, progress: Progress
) -> t.Iterator[Check]:
    """Decode one database's dump to its last block, and hold its table of contents against the manifest.

    Raises PostgresDumpInvalid, HostileArchive and what deliver() raises for what can't be read at all.
    """
    payload = str(content["payload"])
    name = str(content["name"])
    if payload.endswith(DIRECTORY_SUFFIX):
        toc = _read_directory(source, payload, progress=progress)
    else:
        dump = open_dump(source, payload, progress=progress)
        _decode(dump, pg_restore=pg_restore, progress=progress)
        toc = dump.toc
    yield Check(
        name=f"{payload}: whole",
        state=PASSED,
        message=f"{payload}: {len(toc.entries)} objects, decoded to the end",
        found=len(toc.entries),
    )
    yield _database(toc, payload=payload, expected=name)
    yield _created(toc, source, content, payload=payload)
    yield _tables(toc, content, payload=payload)


def _decode(dump: Dump, *, pg_restore: ClientProgram, progress: Progress) -> None:
    words = LoadWords()
    output = PayloadOutput(
        argv=(pg_restore.path, "--format=custom", "--exit-on-error", "--file=/dev/null"), on_stderr=words
    )
    try:
        dump.source.deliver(dump.payload, output, progress=progress)
    except PipelineFailed as error:
        said = "; ".join(words.errors[:3]) or error.message
        raise PostgresDumpInvalid(
            f"pg_restore can't read {dump.payload} to its end: {said}",
            hint="Restore another backup: lifeboat list shows them.",
            details={"payload": dump.payload, "errors": words.errors},
        ) from None


def _read_directory(source: PayloadSource, payload: str, *, progress: Progress) -> DumpToc:
    found: list[DumpToc] = []
    seen: dict[str, bool] = {}

    def read(file: t.BinaryIO) -> None:
        for name, content in members(file):
            if name == "dump/toc.dat":
                found.append(read_toc(content))
                continue
            tail = b""
            while True:
                piece = content.read(1024 * 1024)
                if not piece:
                    break
                tail = (tail + piece[-8:])[-8:]
            seen[name.partition("/")[2]] = not _TABLE_DATA.fullmatch(name) or tail.endswith(_END_OF_ROWS)

    source.deliver(payload, PayloadOutput(read=read), progress=progress)
    if not found:
        raise PostgresDumpInvalid(
            f"{payload} has no toc.dat, so it is no dump of pg_dump's directory format.",
            hint="Restore another backup: lifeboat list shows them.",
        )
    for entry in found[0].entries:
        if entry.file and entry.file not in seen:
            raise PostgresDumpInvalid(
                f"{payload} lacks the file {entry.file}: {entry.kind.lower()} of {entry.schema}.{entry.name}.",
                hint="Restore another backup: lifeboat list shows them.",
            )
        if entry.file and entry.kind == "TABLE DATA" and not seen[entry.file]:
            raise PostgresDumpInvalid(
                f"{payload}: the rows of {entry.schema}.{entry.name} end in the middle.",
                hint="Restore another backup: lifeboat list shows them.",
            )
    return found[0]


def _database(toc: DumpToc, *, payload: str, expected: str) -> Check:
    is_right = toc.database == expected
    return Check(
        name=f"{payload}: database",
        state=PASSED if is_right else FAILED,
        message=f"{payload}: a dump of the database {toc.database}" + ("" if is_right else f", not of {expected}"),
        expected=expected,
        found=toc.database,
    )


def _created(toc: DumpToc, source: PayloadSource, content: t.Mapping[str, t.Any], *, payload: str) -> Check:
    manifest = source.manifest
    created = toc.created.replace(tzinfo=datetime.timezone.utc)
    is_known = content.get("created_in") == "UTC"
    earliest = created - (datetime.timedelta() if is_known else _EAST)
    latest = created + (datetime.timedelta() if is_known else _WEST)
    is_right = latest >= manifest.started - _CLOCK_SLACK and earliest <= manifest.finished + _CLOCK_SLACK
    zone = "UTC" if is_known else "local time"
    return Check(
        name=f"{payload}: created",
        state=PASSED if is_right else FAILED,
        message=f"{payload}: made at {toc.created} {zone}" + ("" if is_right else ", not while this backup was made"),
        expected=[manifest.started.isoformat(), manifest.finished.isoformat()],
        found=toc.created.isoformat(),
    )


def _tables(toc: DumpToc, content: t.Mapping[str, t.Any], *, payload: str) -> Check:
    in_dump = {(entry.schema, entry.name) for entry in toc.of_kind("TABLE DATA")}
    noted = noted_tables(content)
    name = f"{payload}: tables"
    if noted is None:
        return Check(
            name=name,
            state=SKIPPED,
            message=f"{payload}: {len(in_dump)} tables with rows; the manifest doesn't say how many there were",
            found=len(in_dump),
        )
    missing = sorted(f"{schema}.{table}" for schema, table in set(noted) - in_dump)
    shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    return Check(
        name=name,
        state=FAILED if missing else PASSED,
        message=f"{payload}: missing are the tables {shown}" if missing else f"{payload}: all {len(noted)} tables",
        expected=len(noted),
        found=len(in_dump),
    )
