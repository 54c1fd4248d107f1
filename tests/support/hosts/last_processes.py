# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of this machine that still work in a folder when what they worked for is gone."""

from __future__ import annotations

import time
from pathlib import Path

from tests.support.hosts.commands import HostsUnavailable

_PATIENCE_SECONDS = 60
_STEP_SECONDS = 0.05


def wait_for_the_last(folder: Path) -> None:
    """Until no process names *folder*. Raises HostsUnavailable with those that stay.

    A container's monitor outlives it: it begins ``podman container cleanup``, which writes below the folder after
    ``podman rm`` has returned (conmon(8), ``--exit-command``).
    """
    end = time.monotonic() + _PATIENCE_SECONDS
    while running := _naming(folder):
        if time.monotonic() > end:
            raise HostsUnavailable(f"still at work in {folder}: {'; '.join(running)}")
        time.sleep(_STEP_SECONDS)


def _naming(folder: Path) -> list[str]:
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = place.read_bytes().decode("utf-8", "replace").replace("\0", " ")
        except OSError:  # it has ended meanwhile
            continue
        if str(folder) in command:
            found.append(command[:300])
    return found
