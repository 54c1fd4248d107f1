# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel knows of running processes: descendants, memory, processor time, open files."""

from __future__ import annotations

import os
import stat
import typing as t
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
_WRITING = os.O_WRONLY | os.O_RDWR


def tree(root: int) -> list[int]:
    """A process and all its descendants that are there now, the root first."""
    found = [root]
    for pid in found:
        found += _children(pid)
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            children += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text(encoding="ascii").split())
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has just ended
    return children


def memory(pid: int) -> tuple[int, int]:
    """Bytes of a process in memory now and at most so far; (0, 0) when it is gone or a zombie.

    The peak is that of the program that runs in it. ``ru_maxrss`` would also count the program that started it.
    """
    values = {"VmRSS": 0, "VmHWM": 0}
    try:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _colon, rest = line.partition(":")
            if name in values:
                values[name] = int(rest.split()[0]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return values["VmRSS"], values["VmHWM"]


def name_of(pid: int) -> str:
    """The program's short name; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def processor_seconds(roots: t.Iterable[int]) -> float:
    """What processes, their descendants and all that these have waited for have used so far."""
    ticks = 0
    for root in roots:
        for pid in tree(root):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
            except (FileNotFoundError, ProcessLookupError):
                continue
            # user, system, and those of waited-for children: proc(5), fields 14 to 17
            ticks += sum(map(int, fields.split()[11:15]))
    return ticks / TICKS


def machine_busy_seconds() -> float:
    """What all processors of the machine have worked so far, for whomever."""
    with Path("/proc/stat").open(encoding="ascii") as file:
        user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = map(
            int, file.readline().split()[1:9]
        )
    return (user + nice + system + interrupts + soft_interrupts + stolen) / TICKS


def stray_bytes(pids: t.Iterable[int], *, allowed: t.Sequence[Path]) -> int:
    """Disk space of regular files that the processes have open for writing outside of the *allowed* folders.

    Also those that have no name any more, the usual form of a temporary file.
    """
    found: dict[tuple[int, int], int] = {}
    for pid in pids:
        try:
            descriptors = os.listdir(f"/proc/{pid}/fd")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        for descriptor in descriptors:
            try:
                facts = os.stat(f"/proc/{pid}/fd/{descriptor}")
                if not stat.S_ISREG(facts.st_mode) or not _is_written(pid, descriptor):
                    continue
                path = Path(f"/proc/{pid}/fd/{descriptor}").readlink()
            except (FileNotFoundError, ProcessLookupError):
                continue
            # memfd is memory under a file's name; it has no room on any disk.
            if not str(path).startswith("/memfd:") and not any(path.is_relative_to(folder) for folder in allowed):
                found[facts.st_dev, facts.st_ino] = facts.st_blocks * 512
    return sum(found.values())


def _is_written(pid: int, descriptor: str) -> bool:
    for line in Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines():
        if line.startswith("flags:"):
            return bool(int(line.split()[1], 8) & _WRITING)
    return False


def folder_bytes(folder: Path, *, apparent: bool = False) -> int:
    """Disk space (or, *apparent*, the length) of all files below *folder*; 0 when there is none."""
    total = 0
    for path in folder.rglob("*"):
        try:
            facts = path.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISREG(facts.st_mode):
            total += facts.st_size if apparent else facts.st_blocks * 512
    return total
