# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an archive that is whole in itself is the one that its manifest describes. Pure."""

from __future__ import annotations

import json
import typing as t

from ..core.errors import ContentMismatch
from ..recovery.questions import FAILED, PASSED, SKIPPED, Check
from . import consistency
from .archive import ArchiveCollection
from .archive_identity import backup_id_in
from .archive_listing import OPLOG, USERS_PREFIX, ListedArchive
from .content import metadata_sha256
from .noted_content import NotedContent
from .timestamps import as_json

_SHOWN = 5
_ANOTHER = "Don't restore it under this name. Look at who could write to the repository, and take another copy."


def compare_archive(archive: ListedArchive, noted: NotedContent, *, backup_id: str) -> t.Iterator[Check]:
    """Hold the archive against what was noted about the backup *backup_id*.

    Raises ContentMismatch as soon as it is certain that this is another backup's archive: then no further difference
    says anything. All other differences come as failed checks.
    """
    yield Check(
        name="archive",
        state=PASSED,
        message=f"The archive was read to its end: {len(archive.ends)} collections, {archive.documents} documents, "
        f"{archive.size} bytes; every CRC-64 is right.",
        found={"collections": len(archive.ends), "documents": archive.documents, "bytes": archive.size},
    )
    yield _identity(archive, backup_id=backup_id)
    _require_same_databases(archive, noted, backup_id=backup_id)
    yield _server_version(archive, noted)
    yield from _collections(archive, noted)
    yield from _users_and_roles(archive, noted)
    yield _documents(archive, noted)
    yield _checksums(archive, noted)
    yield _metadata(archive, noted)
    yield from _oplog(archive, noted)


def _identity(archive: ListedArchive, *, backup_id: str) -> Check:
    found = backup_id_in(archive.prelude.tool_version)
    if found is None:
        return Check(
            name="identity",
            state=SKIPPED,
            message="The archive does not say which backup it belongs to (mongodump and earlier Lifeboats did not).",
            expected=backup_id,
        )
    if found != backup_id:
        raise ContentMismatch(
            f"The archive belongs to the backup {found}, not to {backup_id}.",
            hint=_ANOTHER,
            details={"expected": backup_id, "found": found},
        )
    return Check(
        name="identity",
        state=PASSED,
        message=f"The archive says that it is {backup_id}.",
        expected=backup_id,
        found=found,
    )


def _require_same_databases(archive: ListedArchive, noted: NotedContent, *, backup_id: str) -> None:
    expected, found = noted.databases, archive.databases
    if expected and not set(expected) & set(found):
        raise ContentMismatch(
            f"The archive holds {_names(found) if found else 'no database'}, but {backup_id} is of {_names(expected)}.",
            hint=_ANOTHER,
            details={"expected": list(expected), "found": list(found)},
        )


def _server_version(archive: ListedArchive, noted: NotedContent) -> Check:
    expected, found = noted.server_version, archive.prelude.server_version
    return Check(
        name="server version",
        state=PASSED if found == expected else FAILED,
        message=f"The archive is of MongoDB {found}" + ("." if found == expected else f", not of {expected} as noted."),
        expected=expected,
        found=found,
    )


def _collections(archive: ListedArchive, noted: NotedContent) -> t.Iterator[Check]:
    expected, found = set(noted.collections), set(archive.collections)
    missing, additional = sorted(map(".".join, expected - found)), sorted(map(".".join, found - expected))
    if missing:
        yield Check(
            name="missing collections",
            state=FAILED,
            message=f"The archive lacks {_names(missing)}, which the manifest names.",
            expected=len(expected),
            found=missing,
        )
    if additional:
        # The native dump notes what it wrote; before mongodump, what was there was listed: some may have come since.
        yield Check(
            name="additional collections",
            state=FAILED if noted.is_native else SKIPPED,
            message=f"The archive has {_names(additional)}, which the manifest does not name"
            + ("." if noted.is_native else "; it may have been made while mongodump began."),
            expected=len(expected),
            found=additional,
        )
    if not missing and not additional:
        yield Check(
            name="collections",
            state=PASSED,
            message=f"The archive has the {len(expected)} collections and views that the manifest names.",
            expected=len(expected),
            found=len(found),
        )


def _users_and_roles(archive: ListedArchive, noted: NotedContent) -> t.Iterator[Check]:
    if noted.database in (None, "admin") or not noted.users_and_roles:
        return
    found = [one.name for one in archive.prelude.collections if one.name.startswith(USERS_PREFIX)]
    state = PASSED if f"{USERS_PREFIX}system.users" in found else FAILED
    yield Check(
        name="users and roles",
        state=state,
        message="The archive has the database's users and roles."
        if state == PASSED
        else "The archive lacks the database's users and roles, which the manifest names.",
        expected=True,
        found=found,
    )


def _documents(archive: ListedArchive, noted: NotedContent) -> Check:
    counts = {
        key: (noted.collections[key].documents, archive.end(one).count) for key, one in _both(archive, noted).items()
    }
    return _each(
        "documents", counts, good="documents are as many as noted", bad="has {found} documents, not {expected}"
    )


def _checksums(archive: ListedArchive, noted: NotedContent) -> Check:
    sums = {
        key: (_hexadecimal(noted.collections[key].crc64), _hexadecimal(archive.end(one).checksum))
        for key, one in _both(archive, noted).items()
    }
    return _each("checksums", sums, good="checksums are those noted", bad="has the CRC-64 {found}, not {expected}")


def _metadata(archive: ListedArchive, noted: NotedContent) -> Check:
    sums = {
        key: (noted.collections[key].metadata_sha256, metadata_sha256(one.metadata))
        for key, one in _both(archive, noted).items()
    }
    check = _each("options and indexes", sums, good="options and indexes are those noted", bad="has others than noted")
    lost = [
        f"{'.'.join(key)}: {index}"
        for key, one in _both(archive, noted).items()
        for index in noted.collections[key].indexes or ()
        if index not in index_names(one.metadata)
    ]
    if not lost:
        return check
    return Check(
        name=check.name,
        state=FAILED,
        message=f"The archive lacks indexes that the manifest names: {_names(lost)}.",
        expected=check.expected,
        found=lost,
    )


def index_names(metadata: str) -> tuple[str, ...]:
    """The names of the indexes in a collection's metadata; none when it can't be read."""
    try:
        return tuple(str(index["name"]) for index in json.loads(metadata)["indexes"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()


def _oplog(archive: ListedArchive, noted: NotedContent) -> t.Iterator[Check]:
    if noted.mode != consistency.OPLOG:
        return
    end = archive.ends.get(OPLOG)
    found = (archive.first, archive.last, end.count) if end is not None else None
    shown = [as_json(moment) if moment is not None else None for moment in (archive.first, archive.last)]
    if noted.oplog is not None:
        good = found == noted.oplog
        expected: t.Any = [as_json(noted.oplog[0]), as_json(noted.oplog[1]), noted.oplog[2]]
    elif noted.window is not None:
        good = archive.last is not None and noted.window[0] <= archive.last <= noted.window[1]
        expected = [as_json(moment) for moment in noted.window]
    else:
        good, expected = end is not None, None
    yield Check(
        name="oplog",
        state=PASSED if good else FAILED,
        message="The archive's oplog covers the time of the dump."
        if good
        else "The archive's oplog is missing or is not that of the dump: its collections stem from different moments.",
        expected=expected,
        found=[*shown, end.count if end is not None else None],
    )


def _both(archive: ListedArchive, noted: NotedContent) -> dict[tuple[str, str], ArchiveCollection]:
    return {key: one for key, one in archive.collections.items() if key in noted.collections}


def _each(name: str, pairs: t.Mapping[tuple[str, str], tuple[t.Any, t.Any]], *, good: str, bad: str) -> Check:
    """One check of many collections, each with what was noted (None where nothing was) and what was found."""
    known = {key: pair for key, pair in pairs.items() if pair[0] is not None}
    wrong = {key: pair for key, pair in known.items() if pair[0] != pair[1]}
    if wrong:
        sentences = [
            f"{'.'.join(key)} {bad.format(expected=expected, found=found)}"
            for key, (expected, found) in sorted(wrong.items())
        ]
        return Check(
            name=name,
            state=FAILED,
            message=f"{'; '.join(sentences[:_SHOWN])}{'; and more' if len(sentences) > _SHOWN else ''}.",
            expected={".".join(key): pair[0] for key, pair in sorted(wrong.items())},
            found={".".join(key): pair[1] for key, pair in sorted(wrong.items())},
        )
    if not known and pairs:
        return Check(name=name, state=SKIPPED, message=f"The manifest notes nothing of {name}.")
    return Check(name=name, state=PASSED, message=f"The {good} in {len(known)} collections.", expected=len(known))


def _hexadecimal(checksum: int | None) -> str | None:
    return None if checksum is None else f"{checksum:016x}"


def _names(names: t.Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
