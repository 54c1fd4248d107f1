# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From payloads to a data folder: ``tar -x`` of each backup, ``pg_combinebackup`` of a chain, a look for links."""

from __future__ import annotations

import os
import shutil
import stat
import typing as t

from ..core.clock import Clock
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
from .tablespaces import VERSION_FOLDER, TablespaceFolder, link, read_map, stored_tablespaces
from .walg_options import WalgOptions
from .walg_restore import fetch_walg, is_walg, walg_bytes

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


def needed_bytes(source: PayloadSource, *, chain: t.Sequence[PayloadSource], oid: int = 0) -> int:
    """About how many bytes of disk unpacking takes at its peak: of the data folder, or of the tablespace *oid*."""
    sizes = [
        _plain_size(one, name=f"{oid}.tar" if oid else payload_name(one))
        for one in (*chain, source)
        if not oid or oid in {stored.oid for stored in stored_tablespaces(one.manifest)}
    ]
    # Combining writes a whole cluster beside its parts.
    return sum(sizes) + (max(sizes) + sizes[-1] if chain and sizes else 0)


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
    clock: Clock,
    walg: WalgOptions | None = None,
    with_wal: bool = True,
    tablespaces: t.Sequence[TablespaceFolder] = (),
) -> None:
    """Make *folder* (absent or empty) the data folder that the backup holds, as the server's account.

    *tablespaces* says where the data of each of the backup's tablespaces goes (folders that are absent); the links of
    the data folder lead there. Its ``tablespace_map`` stays, for the backup's manifest lists it: take it away
    (:func:`tablespaces.remove_map`) before a server starts.

    Raises what delivering raises, HostileArchive, RestoreNoSpace, PostgresTablespaceUnsupported, and CommandFailed of
    pg_combinebackup. What it made until then stays there for the caller to remove (with :func:`remove_unpacked`).
    A backup of WAL-G is fetched by it, with *walg*; *with_wal* says whether its WAL comes from there, too.
    """
    if is_walg(source.manifest):
        _make_folder(folder, programs=programs)
        fetch_walg(
            source.manifest,
            folder=folder,
            options=walg,
            programs=programs,
            runner=runner,
            clock=clock,
            progress=progress,
            with_wal=with_wal,
        )
        refuse_hostile(folder)
        if read_map(folder):
            raise PostgresTablespaceUnsupported(
                "The base backup has a tablespace_map: the server would put links in place of what lies there.",
                hint="Restore another backup: lifeboat list shows them.",
            )
        return
    if not chain:
        unpack(source, folder=folder, programs=programs, progress=progress, tablespaces=tablespaces)
        return
    places = [folder, *(one.folder for one in tablespaces)]
    for place in places:
        _make_folder(place + _PARTS, programs=programs)
    folders = []
    for one in (*chain, source):
        part = _part(folder, one)
        # Whatever else a parent had is not in the cluster any more.
        there = {stored.oid for stored in stored_tablespaces(one.manifest)}
        parts = [
            TablespaceFolder(oid=space.oid, folder=_part(space.folder, one))
            for space in tablespaces
            if space.oid in there
        ]
        unpack(one, folder=part, programs=programs, progress=progress, tablespaces=parts, is_part=one is not source)
        folders.append(part)
    # Named by the folders of the last part, to which pg_combinebackup finds the links.
    argv = [
        f"--tablespace-mapping={_escaped(_part(space.folder, source))}={_escaped(space.folder)}"
        for space in tablespaces
    ]
    argv += [*folders, "-o", folder]
    if not durable:
        argv.append("--no-sync")
    if programs.major >= _LINKING_VERSION:
        argv.append("--link")  # the parts are removed below, so nobody shares the files
    try:
        programs.run("pg_combinebackup", *argv, runner=runner, timeout=_COMBINE_TIMEOUT)
    except CommandFailed as error:
        raise _no_space(folder, error) or error from error
    for place in places:
        shutil.rmtree(place + _PARTS)


def unpack(
    source: PayloadSource,
    *,
    folder: str,
    programs: ServerPrograms,
    progress: Progress,
    tablespaces: t.Sequence[TablespaceFolder] = (),
    is_part: bool = False,
) -> None:
    """Unpack one backup's tars into *folder* and those of *tablespaces*, and refuse what PostgreSQL never writes.

    See :func:`unpack_chain`; *is_part* says that not all of its tablespaces are wanted.
    """
    _untar(source, payload_name(source), folder=folder, programs=programs, progress=progress)
    refuse_hostile(folder)
    payloads = {one.oid: one.payload for one in stored_tablespaces(source.manifest)}
    wanted = {one.oid for one in tablespaces}
    mapped = read_map(folder)
    if mapped != set(payloads) or (wanted != mapped and not is_part):
        raise PostgresTablespaceUnsupported(
            f"The base backup's tablespace_map names {sorted(mapped)}, it holds the data of {sorted(payloads)}, and "
            f"{sorted(wanted)} are to be restored.",
            hint="Restore another backup: lifeboat list shows them.",
        )
    for one in tablespaces:
        _untar(source, payloads[one.oid], folder=one.folder, programs=programs, progress=progress)
        refuse_hostile(one.folder)
        strangers = [name for name in os.listdir(one.folder) if VERSION_FOLDER.fullmatch(name) is None]
        if strangers:
            raise HostileArchive(
                f"The tablespace {one.oid} in the backup has {strangers[0]!r}, which no server would read.",
                hint="Don't restore it; look at who could write to the repository.",
                details={"members": strangers[:100]},
            )
        link(folder, oid=one.oid, folder=one.folder)


def _untar(source: PayloadSource, name: str, *, folder: str, programs: ServerPrograms, progress: Progress) -> None:
    _make_folder(folder, programs=programs)
    # The large record size saves system calls; owners and special bits in the archive are nobody's business here.
    argv = [*run_as(programs.account), "tar", "-x", "-B", "-b", "512", "--no-same-owner", "--no-same-permissions"]
    try:
        source.deliver(
            name,
            PayloadOutput(argv=(*argv, "-C", folder), environment={"TAR_OPTIONS": ""}),
            progress=progress,
        )
    except PipelineFailed as error:
        raise _no_space(folder, error) or _hostile_by_tar(error) or error from error


def remove_unpacked(folder: str) -> None:
    """Remove *folder* and what unpacking left beside it; no error when there is nothing."""
    for path in (folder + _PARTS, folder):
        if os.path.lexists(path):
            shutil.rmtree(path)


def refuse_hostile(folder: str) -> None:
    """Raise HostileArchive for anything but plain files and folders.

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


def _make_folder(folder: str, *, programs: ServerPrograms) -> None:
    if not os.path.isdir(folder):
        os.mkdir(folder, 0o700)
    os.chmod(folder, 0o700)  # the server refuses anything wider
    programs.own(folder)


def _part(folder: str, source: PayloadSource) -> str:
    """Where one backup of a chain is unpacked, before all become *folder*."""
    return os.path.join(folder + _PARTS, source.manifest.backup_id)


def _escaped(path: str) -> str:
    """As pg_combinebackup takes it in a mapping, where the folders are parted by ``=``."""
    return path.replace("=", "\\=")


def _plain_size(source: PayloadSource, *, name: str) -> int:
    if is_walg(source.manifest):
        return walg_bytes(source.manifest)
    payload = source.payload(name)
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
