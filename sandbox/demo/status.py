# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ..process import PidFile
from .layout import Layout
from .servers import server_folders
from .up import read_description

if t.TYPE_CHECKING:
    from pathlib import Path

_SERVERS = ("mongodb", "postgresql", "redis", "s3")


def status(directory: Path) -> bool:
    """Print a line for each server; whether all of them run."""
    layout = Layout.at(directory)
    description = read_description(layout)
    if description is None:
        print(f"there is no sandbox in {layout.root} (make one: python -m sandbox up)")
        return False
    all_run = True
    for name in _SERVERS:
        files = [path for folder in server_folders(layout) for path in folder.rglob(f"{name}.pid.json")]
        identities = [noted.living for noted in map(PidFile.read, files) if noted is not None and noted.living]
        known = description[name]
        address = f"{known['host']}:{known['port']}"
        if identities:
            print(f"{name:<11} runs     {address:<16} process {identities[0].pid}, log {known['log_file']}")
        else:
            all_run = False
            print(f"{name:<11} is down  {address:<16} log {known['log_file']}")
    if not all_run:
        print("start what is down: python -m sandbox up")
    return all_run
