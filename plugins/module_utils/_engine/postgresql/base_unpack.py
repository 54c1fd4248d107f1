# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From payloads to a data folder: ``tar -x`` of each backup, ``pg_combinebackup`` of a chain, a look for links."""

from __future__ import annotations

import os
import shutil
import stat
import typing as t

from ..core.errors import (
    CommandFailed,
    HostileArchive,
    PipelineFailed,
    PostgresChainIncomplete,
    PostgresTablespaceUnsupported,
    RestoreNoSpace,
    ToolMissing,
)
from ..core.progress import Progress
from ..core.runner import Runner
from ..pipeline.delivery import PayloadOutput
from ..recovery.payload_source import PayloadSource
from .programs import ServerPrograms, run_as

DEFAULT_PAYLOAD = "base.tar"
_PARTS = ".parts"
_LINKING_VERSION = 18
# What tar says of members that lead elsewhere.
_REFUSALS = ("Member name contains '..'", "Cannot create symlink", "Cannot hard link")
_COMBINE_TIMEOUT = 7 * 24 * 3600.0


def require_chain(source: PayloadSource, *, chain: t.Sequence[PayloadSource], programs: ServerPrograms) -> None:
    """See that an increment's chain is whole and can be combined. Raises PostgresChainIncomplete and ToolMissing."""
    if source.manifest.kind != "incremental":
        return
    needed = [str(one) for one in (source.manifest.content.get("parent") or {}).get("chain", [])]
    given = [link.manifest.backup_id for link in chain]
    if not needed or needed != given:
        raise PostgresChainIncomplete(
            f"The increment {source.manifest.backup_id} builds on {', '.join(needed) or 'nothing'}, and there is "
            f"{', '.join(given) or 'nothing'}.",
            hint="Restore another backup: lifeboat list shows which are whole.",
            details={"needed": needed, "found": given},
        )
    if not programs.has("pg_combinebackup"):
        raise ToolMissing(
            f"pg_combinebackup is not in {programs.bin_directory}, and increments need it.",
            hint=f"Install it, on Debian: apt-get install postgresql-{programs.major}",
            details={"tool": "pg_combinebackup"},
        )


def needed_bytes(source: PayloadSource, *, chain: t.Sequence[PayloadSource]) -> int:
    """About how many bytes of disk unpacking takes at its peak."""
    sizes = [_plain_size(one) for one in (*chain, source)]
    # Combining writes a whole cluster beside its parts.
    return sum(sizes) + (max(sizes) + sizes[-1] if chain else 0)


def payload_name(source: PayloadSource) -> str:
    """The plain name of the payload that holds the cluster."""
    return str(source.manifest.content.get("payload") or DEFAULT_PAYLOAD)


def unpack_chain(
    source: PayloadSource,
    *,
    chain: t.Sequence[PayloadSource],
    folder: str,
    programs: ServerPrograms,
    runner: Runner,
    progress: Progress,
    durable: bool,
) -> None:
    """Make *folder* (absent or empty) the data folder that the backup holds, as the server's account.

    Raises what delivering raises, HostileArchive, RestoreNoSpace, PostgresTablespaceUnsupported, and CommandFailed of
    pg_combinebackup. What it made until then stays there for the caller to remove (with :func:`remove_unpacked`).
    """
    if not chain:
        unpack(source, folder=folder, programs=programs, progress=progress)
        return
    parts = folder + _PARTS
    _make_folder(parts, programs=programs)
    folders = []
    for link in (*chain, source):
        part = os.path.join(parts, link.manifest.backup_id)
        unpack(link, folder=part, programs=programs, progress=progress)
        folders.append(part)
    argv = [*folders, "-o", folder]
    if not durable:
        argv.append("--no-sync")
    if programs.major >= _LINKING_VERSION:
        argv.append("--link")  # the parts are removed below, so nobody shares the files
    try:
        programs.run("pg_combinebackup", *argv, runner=runner, timeout=_COMBINE_TIMEOUT)
    except CommandFailed as error:
        raise _no_space(folder, error) or error from error
    shutil.rmtree(parts)


def unpack(source: PayloadSource, *, folder: str, programs: ServerPrograms, progress: Progress) -> None:
    """Unpack one backup's tar into *folder* and refuse what PostgreSQL never writes; see :func:`unpack_chain`."""
    _make_folder(folder, programs=programs)
    # The large record size saves system calls; owners and special bits in the archive are nobody's business here.
    argv = [*run_as(programs.account), "tar", "-x", "-B", "-b", "512", "--no-same-owner", "--no-same-permissions"]
    try:
        source.deliver(
            payload_name(source),
            PayloadOutput(argv=(*argv, "-C", folder), environment={"TAR_OPTIONS": ""}),
            progress=progress,
        )
    except PipelineFailed as error:
        raise _no_space(folder, error) or _hostile_by_tar(error) or error from error
    refuse_hostile(folder)


def remove_unpacked(folder: str) -> None:
    """Remove *folder* and what unpacking left beside it; no error when there is nothing."""
    for path in (folder + _PARTS, folder):
        if os.path.lexists(path):
            shutil.rmtree(path)


def refuse_hostile(folder: str) -> None:
    """Raise HostileArchive for anything but plain files and folders, PostgresTablespaceUnsupported for tablespaces.

    tar has its own protections for names that lead elsewhere; a link that it makes would be followed by the server.
    """
    todo = [folder]
    while todo:
        with os.scandir(todo.pop()) as entries:
            for entry in entries:
                facts = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(facts.st_mode):
                    todo.append(entry.path)
                elif not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
                    shown = os.path.relpath(entry.path, folder)
                    raise HostileArchive(
                        f"The base backup has {shown}, which is no plain file; it was not restored.",
                        hint="Don't restore it; look at who could write to the repository.",
                        details={"member": shown},
                    )
    table_map = os.path.join(folder, "tablespace_map")
    if os.path.exists(table_map) and os.path.getsize(table_map):
        raise PostgresTablespaceUnsupported(
            "The base backup has a tablespace_map: the server would put links in place of what lies there.",
            hint="Restore another backup: lifeboat list shows them.",
        )


def _make_folder(folder: str, *, programs: ServerPrograms) -> None:
    if not os.path.isdir(folder):
        os.mkdir(folder, 0o700)
    os.chmod(folder, 0o700)  # the server refuses anything wider
    programs.own(folder)


def _plain_size(source: PayloadSource) -> int:
    payload = source.payload(payload_name(source))
    return payload.plain_size if payload.plain_size is not None else payload.size * 4


def _said(error: PipelineFailed | CommandFailed) -> str:
    return "\n".join([error.message, *map(str, error.details.get("stderr", ()))])


def _no_space(folder: str, error: PipelineFailed | CommandFailed) -> RestoreNoSpace | None:
    if "No space left on device" not in _said(error) and "Disk quota exceeded" not in _said(error):
        return None
    return RestoreNoSpace(
        f"The disk of {folder} became full while the base backup was unpacked.",
        hint=f"Run: df -h {os.path.dirname(folder)}   then free space, or restore to another place.",
        details={"path": folder},
    )


def _hostile_by_tar(error: PipelineFailed) -> HostileArchive | None:
    said = _said(error)
    if not any(words in said for words in _REFUSALS):
        return None
    return HostileArchive(
        f"The base backup has members whose names lead elsewhere; tar refused them: {said[-500:]}",
        hint="Don't restore it; look at who could write to the repository.",
    )
