# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import shutil
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ..errors import SandboxError
from ..postgresql import PostgreSQLServer
from ..postgresql_host import clear_after_crash
from ..process import PidFile, end, end_processes_inside
from .layout import Layout
from .progress import Progress
from .servers import server_folders

if t.TYPE_CHECKING:
    from pathlib import Path


def down(directory: Path) -> None:
    """End every process of the sandbox and remove its folder. Needs no sandbox.json: the pid files are enough."""
    progress = Progress()
    layout = Layout.at(directory)
    if not layout.root.exists():
        print(f"there is no sandbox in {layout.root}")
        return
    if not layout.is_sandbox():
        raise SandboxError(f"{layout.root} isn't a sandbox: nothing is removed")
    with layout.locked():
        folders = server_folders(layout)
        pid_files = sorted(path for folder in folders for path in folder.rglob("*.pid.json"))
        with ThreadPoolExecutor(max_workers=8) as pool:
            for stopped in [pool.submit(_end, path, progress) for path in pid_files]:
                stopped.result()
        noted = [found for found in map(PidFile.read, pid_files) if found is not None]
        for folder in folders:
            # Whatever still works in there is ours (a backend of PostgreSQL leads a session of its own).
            end_processes_inside(folder)
            for data_directory in folder.rglob("postmaster.pid"):
                clear_after_crash(data_directory.parent)
            shutil.rmtree(folder)
        for one in noted:
            one.remove_outside()
        shutil.rmtree(layout.root)
    progress.say("sandbox", f"is gone: {layout.root}")


def _end(pid_file: Path, progress: Progress) -> None:
    noted = PidFile.read(pid_file)
    identity = noted.living if noted else None
    name = pid_file.name.removesuffix(".pid.json")
    if identity is None:
        progress.say(name, "was not running")
        return
    # All four take SIGINT as a request to stop soon; PostgreSQL's fast shutdown also gives its shared memory back.
    end(identity, None, graceful=PostgreSQLServer.graceful_signal, seconds=20)
    progress.say(name, "stopped")
