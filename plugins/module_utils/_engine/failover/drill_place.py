# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill's own place on a host: a folder with a mark, free ports, and the way to be rid of all that runs there.

Only what bears the mark is ever removed, and only processes that work inside it are ever ended.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import shutil
import signal
import socket
import typing as t
from dataclasses import dataclass

from ..core.errors import DrillRefused
from ..core.host import Host
from .drill_guard import overlaps

MARK = ".lifeboat-drill"
_FIRST_PORT, _LAST_PORT = 20000, 29999
_GRACE, _POLL = 10.0, 0.1


@dataclass(frozen=True)
class DrillPlace:
    """*path* with so many free *ports*; *ended* are processes that were still at work there, by number and name."""

    path: str
    ports: tuple[int, ...]
    removed: bool
    ended: tuple[str, ...]

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {**dataclasses.asdict(self), "ports": list(self.ports), "ended": list(self.ended)}


def make_place(
    path: str, *, count: int, avoid: t.Collection[int], keep_away: t.Sequence[str], first_port: int | None, check: bool
) -> DrillPlace:
    """Make the folder anew and find ports. Raises DrillRefused for a folder that is production's or somebody else's."""
    folder = _refuse(path, keep_away)
    ports = _free_ports(count, avoid=avoid, first=first_port)
    if not check:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        # The account of a server that is restored there must get through.
        folder.chmod(0o755)
        (folder / MARK).write_text("A drill of Lifeboat works here. It is removed when the drill ends.\n")
    return DrillPlace(path=str(folder), ports=ports, removed=False, ended=())


def remove_place(path: str, *, keep_away: t.Sequence[str], host: Host, check: bool) -> DrillPlace:
    """End what works there, and remove the folder. What is not there is removed already."""
    folder = _refuse(path, keep_away)
    if not folder.exists():
        return DrillPlace(path=str(folder), ports=(), removed=False, ended=())
    busy = _processes(folder)
    if not check:
        _end(folder, host=host)
        shutil.rmtree(folder)
    return DrillPlace(
        path=str(folder), ports=(), removed=True, ended=tuple(f"{number} {name}" for number, name in busy)
    )


def _refuse(path: str, keep_away: t.Sequence[str]) -> pathlib.Path:
    folder = pathlib.Path(path)
    if not folder.is_absolute() or len(folder.parts) < 3 or ".." in folder.parts:
        raise DrillRefused(
            f"A drill can't have {path} as its place.", hint="Give an absolute path below another folder."
        )
    real = folder.resolve()
    own = next((one for one in keep_away if overlaps(str(real), str(pathlib.Path(one).resolve()))), None)
    if own is not None:
        raise DrillRefused(
            f"A drill can't have {path} as its place: {own} is production's.",
            hint="Leave lifeboat_drill_directory out, or name a folder that nothing else uses.",
        )
    if real.exists() and (not real.is_dir() or (any(real.iterdir()) and not (real / MARK).is_file())):
        raise DrillRefused(
            f"{path} is there already, and no drill made it.",
            hint=f"Look at it: ls -la {path}   and name another folder: -e lifeboat_drill_directory=FOLDER",
        )
    return real


def _free_ports(count: int, *, avoid: t.Collection[int], first: int | None) -> tuple[int, ...]:
    found: list[int] = []
    for port in range(first or _FIRST_PORT, (first or _LAST_PORT) + count + 1 if first else _LAST_PORT):
        if len(found) == count:
            break
        if first and port in avoid:
            raise DrillRefused(
                f"The port {port} is production's.", hint="Leave lifeboat_drill_port out, or give a free one."
            )
        if port not in avoid and _is_free(port):
            found.append(port)
    if len(found) < count:
        raise DrillRefused(
            f"There are no {count} free ports from {first or _FIRST_PORT} on.",
            hint="Give another: lifeboat_drill_port.",
        )
    return tuple(found)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _processes(folder: pathlib.Path) -> list[tuple[int, str]]:
    """Those whose working directory is inside."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            place = os.readlink(entry / "cwd")
            name = (entry / "comm").read_text().strip()
        except OSError:
            continue
        if place.startswith(f"{folder}/"):
            found.append((int(entry.name), name))
    return sorted(found)


def _end(folder: pathlib.Path, *, host: Host) -> None:
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL):
        deadline = host.clock.monotonic() + _GRACE
        busy = _processes(folder)
        for process, _name in busy:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
        while busy and host.clock.monotonic() < deadline:
            busy = _processes(folder)
            if busy:
                host.clock.sleep(_POLL)
        if not busy:
            return
    busy_still = ", ".join(f"{number} {name}" for number, name in _processes(folder))
    raise DrillRefused(
        f"Processes in {folder} can't be ended: {busy_still}.",
        hint="Run it as root, or as the account that they run as.",
    )
