# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An unpacked base backup held against its ``backup_manifest``: by pg_verifybackup, or where there is none, by us."""

from __future__ import annotations

import os
import typing as t

from ..core.checksums import CRC32C, crc_function
from ..core.errors import LifeboatError, PostgresError, RestoreIncomplete
from ..core.runner import Runner
from .backup_manifest import NAME, ManifestReader, SeenFiles
from .base_label import ControlFile
from .programs import ServerPrograms
from .wal_witness import WalWitness

_CHUNK = 1024 * 1024
_TIMEOUT = 7 * 24 * 3600.0


def verify_folder(folder: str, *, programs: ServerPrograms, runner: Runner) -> str:
    """Check every file's size and checksum, and that the WAL is there; the name of who checked.

    Raises RestoreIncomplete with what differs.
    """
    if _runs(programs, runner=runner):
        done = programs.run("pg_verifybackup", "--quiet", folder, runner=runner, timeout=_TIMEOUT, check=False)
        if done.status != 0:
            said = done.error.decode("utf-8", "replace").strip().splitlines()
            raise _incomplete(folder, said[:5] or [f"pg_verifybackup ended with status {done.status}"])
        return "pg_verifybackup"
    problems = _differences(folder)
    if problems:
        raise _incomplete(folder, problems)
    return "lifeboat"


def read_control(folder: str) -> ControlFile:
    """The identity of a data folder. Raises RestoreIncomplete when it has none."""
    try:
        with open(os.path.join(folder, "global", "pg_control"), "rb") as file:
            found = ControlFile.parse(file.read(64))
    except OSError as error:
        raise _incomplete(folder, [f"global/pg_control: {error.strerror}"]) from error
    if found is None:
        raise _incomplete(folder, ["global/pg_control is empty"])
    return found


def control_settings(folder: str, *, programs: ServerPrograms, runner: Runner) -> dict[str, str]:
    """What pg_controldata says of the cluster, label to value."""
    lines = programs.run("pg_controldata", "-D", folder, runner=runner, timeout=60).text.splitlines()
    pairs = (line.partition(":") for line in lines)
    return {label.strip(): value.strip() for label, _colon, value in pairs}


def _runs(programs: ServerPrograms, *, runner: Runner) -> bool:
    if not programs.has("pg_verifybackup"):
        return False
    try:
        return programs.run("pg_verifybackup", "--version", runner=runner, timeout=20, check=False).status == 0
    except LifeboatError:
        return False


def _differences(folder: str) -> list[str]:
    crc, seen, wal = crc_function(CRC32C), SeenFiles(), WalWitness()
    for path in _files(folder):
        with open(os.path.join(folder, path), "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if path == NAME or wal.look(path, size=size, content=_pieces(file)):
                continue
            checksum = 0
            for piece in _pieces(file):
                checksum = crc(piece, checksum)
            seen.add(path, size=size, checksum=checksum)
    reader = ManifestReader(seen=seen)
    try:
        with open(os.path.join(folder, NAME), "rb", buffering=0) as file:
            for piece in _pieces(file):
                reader.feed(piece)
        reader.finish()
    except FileNotFoundError:
        return ["there is no backup_manifest"]
    except (PostgresError, OSError) as error:
        return [str(error)]
    return [*reader.differences.problems, *wal.missing(reader.wal_ranges)]


def _files(folder: str) -> t.Iterator[str]:
    # The links to tablespaces are ours, and nothing else in a data folder that was unpacked is one.
    for root, _folders, names in os.walk(folder, followlinks=True):
        for name in names:
            yield os.path.relpath(os.path.join(root, name), folder)


def _pieces(file: t.Any) -> t.Iterator[memoryview]:
    buffer = memoryview(bytearray(_CHUNK))
    while count := file.readinto(buffer):
        yield buffer[:count]


def _incomplete(folder: str, problems: t.Sequence[str]) -> RestoreIncomplete:
    return RestoreIncomplete(
        f"What was unpacked into {folder} is not what the backup holds: {'; '.join(problems[:5])}.",
        hint="Look at the disk (dmesg), then restore again, or another backup: lifeboat list shows them.",
        details={"problems": list(problems[:100])},
    )
