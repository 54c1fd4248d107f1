# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup of WAL-G brought back: into an empty folder, with the WAL that makes it consistent.

What comes of it is what pg_basebackup would have written, less its manifest, so that everything behind it (proving,
placing, replaying) is the same.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import replace

from ..core.clock import Clock
from ..core.errors import ManifestInvalid, WalgArchiveBroken, WalgBackupMissing, WalgSegmentMissing
from ..core.progress import Progress
from ..core.runner import Runner
from .base_folder import read_control
from .programs import ServerPrograms
from .wal_names import USUAL_SEGMENT_SIZE, segments_between
from .walg import TOOL_NAME
from .walg_options import WalgOptions
from .walg_program import WalgProgram, find_walg

if t.TYPE_CHECKING:
    from ..catalog.manifest import Manifest


def is_walg(manifest: Manifest) -> bool:
    """Whether the data of this backup lies in a storage of WAL-G's."""
    return str((manifest.content.get("tool") or {}).get("name")) == TOOL_NAME


def walg_facts(manifest: Manifest) -> t.Mapping[str, t.Any]:
    """What the manifest notes about it. Raises ManifestInvalid."""
    found = manifest.content.get("walg")
    if not isinstance(found, dict) or not found.get("backup_name"):
        raise ManifestInvalid(
            f"The manifest of {manifest.backup_id} does not name the backup of WAL-G that it is of.",
            hint="Restore another backup: lifeboat list shows them.",
        )
    return found


def walg_bytes(manifest: Manifest) -> int:
    """About how many bytes of disk it takes, with its WAL."""
    wal = manifest.content.get("wal") or {}
    size = walg_facts(manifest).get("uncompressed_size")
    plain = size if isinstance(size, int) else 0
    # A delta says its own size only; the databases' is noted, too.
    databases = sum(int(one.get("size") or 0) for one in manifest.content.get("databases") or ())
    return max(plain, databases) + int(wal.get("segments") or 1) * int(wal.get("segment_size") or USUAL_SEGMENT_SIZE)


def open_walg(manifest: Manifest, *, options: WalgOptions | None, account: str | None, runner: Runner) -> WalgProgram:
    """The program for this backup, and that the backup is there and the same.

    Where *options* say nothing of it the configuration is the one that the manifest names, and the program WAL-G from
    PATH: a program that a manifest names is never run. Raises WalgBackupMissing and what finding the program raises.
    """
    noted = walg_facts(manifest)
    chosen = options or WalgOptions()
    if not (chosen.config or chosen.environment or chosen.environment_file):
        chosen = replace(chosen, config=str(noted.get("config") or ""))
    program = find_walg(chosen, runner=runner, account=account)
    name = str(noted["backup_name"])
    found = next((one for one in program.backups() if one.name == name), None)
    if found is None or found.backup_id != manifest.backup_id:
        why = "is not there" if found is None else f"is of {found.backup_id or 'somebody else'} there"
        raise WalgBackupMissing(
            f"The backup {manifest.backup_id} is {name} of WAL-G in {noted.get('storage')}; in "
            f"{program.settings.prefix} it {why}.",
            hint=f"Run: {program.path} backup-list   or name the configuration of its storage: walg: {{config: ...}}",
            details={"backup": name, "storage": program.settings.prefix},
        )
    return program


def missing_wal(manifest: Manifest, *, program: WalgProgram) -> list[str]:
    """The segments between begin and end of the backup that are not in WAL-G's storage."""
    stored = program.timelines()
    return [name for name in _own_wal(manifest) if not any(one.has(name) for one in stored)]


def fetch_walg(
    manifest: Manifest,
    *,
    folder: str,
    options: WalgOptions | None,
    programs: ServerPrograms,
    runner: Runner,
    clock: Clock,
    progress: Progress,
    with_wal: bool = True,
) -> None:
    """Fill *folder*, which must be empty and the server's account's. Raises WalgFailed, WalgArchiveBroken and others.

    Without *with_wal* the WAL comes from elsewhere.
    """
    noted = walg_facts(manifest)
    program = open_walg(manifest, options=options, account=programs.account, runner=runner)
    progress.stage("fetching with wal-g")
    program.fetch_backup(str(noted["backup_name"]), folder)
    read_control(folder)
    if not os.path.isfile(os.path.join(folder, "backup_label")):
        raise WalgBackupMissing(
            f"WAL-G unpacked {noted['backup_name']} without its backup_label; the server would start it as if it were "
            "whole.",
            hint="Restore another backup: lifeboat list shows them.",
        )
    wal_folder = os.path.join(folder, "pg_wal")
    if not os.path.isdir(wal_folder):
        os.mkdir(wal_folder, 0o700)
        programs.own(wal_folder)
    if with_wal:
        _fetch_wal(manifest, program=program, wal_folder=wal_folder, clock=clock, progress=progress)


def _fetch_wal(manifest: Manifest, *, program: WalgProgram, wal_folder: str, clock: Clock, progress: Progress) -> None:
    wal = manifest.content.get("wal") or {}
    size = int(wal.get("segment_size") or USUAL_SEGMENT_SIZE)
    progress.stage("fetching WAL with wal-g")
    for name in _own_wal(manifest):
        try:
            program.fetch_wal(name, os.path.join(wal_folder, name), segment_size=size, clock=clock)
        except WalgSegmentMissing as error:
            raise WalgArchiveBroken(
                f"The backup {manifest.backup_id} needs {wal['first']} to {wal['last']} to become consistent, and "
                f"{error.message}",
                hint="Restore another backup: lifeboat list shows them.",
                details={"segment": name},
            ) from error


def _own_wal(manifest: Manifest) -> t.Iterator[str]:
    wal = manifest.content.get("wal") or {}
    size = int(wal.get("segment_size") or USUAL_SEGMENT_SIZE)
    return segments_between(str(wal["first"]), str(wal["last"]), segment_size=size)
