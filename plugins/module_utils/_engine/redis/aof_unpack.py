# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The append-only files of a backup, out of its tar: walked to their end, and written into a folder on request."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field

from ..core.errors import AofInvalid, ContentMismatch, HostileArchive
from .aof_check import AofChecker, AofFacts
from .aof_manifest import ManifestEntry, parse_manifest
from .noted import Noted
from .tar_members import TarMember, TarReader

_LARGEST_MANIFEST = 1024 * 1024
_ANOTHER = "Restore another backup: lifeboat list shows them."
_SUFFIX = ".manifest"


@dataclass
class UnpackedAof:
    """*files* maps plain names to what was found in them; *manifest* is None for the one file before Redis 7.0.

    *size* counts the bytes of all files without the manifest.
    """

    files: dict[str, AofFacts] = field(default_factory=dict)
    manifest: bytes | None = None
    folder_name: str | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(facts.size for facts in self.files.values())

    @property
    def entries(self) -> tuple[ManifestEntry, ...]:
        """The files in use in the order in which a server loads them."""
        if self.manifest is None:
            return tuple(ManifestEntry(name=name, sequence=1, kind="base") for name in self.files)
        return tuple(entry for entry in parse_manifest(self.manifest) if entry.kind != "history")


def read_aof_tar(stream: t.BinaryIO, *, into: str | None = None) -> UnpackedAof:
    """Read the tar to its end. With *into* (a folder that exists) the files are written there under their plain names,
    durable and readable by their owner only; the manifest is not written.

    Raises AofInvalid and RdbInvalid for damage, HostileArchive for members that lead elsewhere.
    """
    found = UnpackedAof()

    def take(member: TarMember, pieces: t.Iterator[bytes]) -> None:
        name = _plain_name(member, found)
        if name.endswith(_SUFFIX) and found.folder_name is not None:
            if found.manifest is not None or member.size > _LARGEST_MANIFEST:
                raise AofInvalid("The tar of append-only files has two manifests, or one that is none.", hint=_ANOTHER)
            found.manifest = b"".join(pieces)
            return
        if name in found.files:
            raise HostileArchive(
                f"The tar of append-only files has {name!r} twice: the second would replace the first.",
                hint="Don't restore it; look at who could write to the repository.",
                details={"member": name},
            )
        # Which file is the last one stands in the manifest, which comes at the end.
        checker = AofChecker(name=name)
        if into is None:
            for piece in pieces:
                checker.feed(piece)
        else:
            _write(os.path.join(into, name), pieces, checker)
        found.files[name] = checker.finish(last=True)

    TarReader(stream).read(take)
    _require_a_set(found)
    return found


def compare_files(found: UnpackedAof, noted: Noted) -> list[str]:
    """What differs between the files of a tar and those that the manifest of the backup notes, in sentences."""
    problems: list[str] = []
    wanted = {file.path.rpartition("/")[2]: file for file in noted.files}
    names = {name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"): name for name in found.files}
    problems += [
        f"{name} is {'missing' if name in wanted else 'not in the manifest'}"
        for name in sorted(set(wanted) ^ set(names))
    ]
    for shown in sorted(set(wanted) & set(names)):
        note, facts = wanted[shown], found.files[names[shown]]
        crc64 = None if facts.rdb is None else facts.rdb.crc64
        for what, was, is_now in (
            ("length", note.length, facts.size),
            ("number of commands", note.commands, facts.commands),
            ("number of incomplete bytes", note.torn, facts.torn),
            ("checksum", note.crc64, crc64),
        ):
            if was is not None and was != is_now:
                problems.append(f"the {what} of {shown} is {is_now}, not {was}")
    return problems


def require_files(found: UnpackedAof, noted: Noted) -> None:
    """Raise ContentMismatch when the tar holds other files than the manifest of the backup notes."""
    problems = compare_files(found, noted) if noted.files else []
    if problems:
        raise ContentMismatch(
            f"The append-only files are not those of the manifest: {'; '.join(problems[:5])}.",
            hint="Restore another backup: lifeboat list shows them.",
            details={"problems": problems},
        )


def _plain_name(member: TarMember, found: UnpackedAof) -> str:
    """The name within the folder of the set. Raises HostileArchive for whatever is no plain name in one folder."""
    folder, slash, name = member.name.rpartition("/")
    is_first = not found.files and found.manifest is None
    if slash and is_first and folder and "/" not in folder and folder not in (".", ".."):
        found.folder_name = folder
    if (folder or None) != found.folder_name or name in ("", ".", "..") or "\0" in member.name:
        raise HostileArchive(
            f"The tar of append-only files has a member {member.name!r}, which leads out of the folder of the others.",
            hint="Don't restore it; look at who could write to the repository.",
            details={"member": member.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")},
        )
    return name


def _require_a_set(found: UnpackedAof) -> None:
    if found.folder_name is None:
        if len(found.files) != 1:
            raise AofInvalid(
                f"The tar of append-only files has {len(found.files)} files and no folder; one is right.", hint=_ANOTHER
            )
        return
    if found.manifest is None:
        raise AofInvalid("The tar of append-only files has no manifest, so their order is not known.", hint=_ANOTHER)
    entries = found.entries
    names = [entry.name for entry in entries]
    if set(names) != set(found.files):
        missing = sorted(set(names) ^ set(found.files))
        raise AofInvalid(
            f"The files in the tar are not those that their manifest names: {', '.join(missing)}.",
            hint=_ANOTHER,
            details={"differ": missing},
        )
    for name in names[:-1]:
        if found.files[name].torn:
            raise AofInvalid(
                f"{name} ends in the middle of a command, and another file follows it: a server refuses that.",
                hint=_ANOTHER,
                details={"file": name, "torn_bytes": found.files[name].torn},
            )


def _write(path: str, pieces: t.Iterator[bytes], checker: AofChecker) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        for piece in pieces:
            checker.feed(piece)
            view = memoryview(piece)
            while view:
                view = view[file.write(view) :]
        os.fsync(file.fileno())
