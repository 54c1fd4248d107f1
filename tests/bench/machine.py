# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the figures were measured on and with."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import time
from pathlib import Path

from sandbox.parts import find_mongod, find_postgresql, find_weed

from .command import version_of
from .mongodb import find_mongodump
from .processes import machine_busy_seconds


def machine_facts(folder: Path) -> dict[str, str]:
    """Names and values for people."""
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "processor": f"{os.cpu_count()} x {_value('/proc/cpuinfo', 'model name')}",
        "memory": f"{int(_value('/proc/meminfo', 'MemTotal').split()[0]) / 1e6:.1f} GB",
        "disk": f"{file_system(folder)}, writes and syncs {_disk_rate(folder) / 1e6:.0f} MB/s",
        "system": f"{_distribution()}, Linux {platform.release()}",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def versions() -> dict[str, str]:
    """What every program says of itself; empty when it isn't there."""
    postgresql = find_postgresql()
    mongodump = find_mongodump()
    return {
        "Python": platform.python_version(),
        "zstd": version_of("zstd", "--version").strip("* "),
        "PostgreSQL": version_of(postgresql / "postgres", "--version") if postgresql else "",
        "pgBackRest": version_of("pgbackrest", "version"),
        "MongoDB": version_of(find_mongod() or "mongod", "--version"),
        "mongodump": version_of(mongodump, "--version") if mongodump else "",
        "Redis": version_of("redis-server", "--version"),
        "S3": version_of(find_weed() or "weed", "version"),
        "rclone": version_of("rclone", "version"),
    }


def file_system(folder: Path) -> str:
    """The type of the file system that a folder is on."""
    found = ("", "unknown")
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        mounted, kind = line.split()[1:3]
        if folder.resolve().is_relative_to(mounted) and len(mounted) >= len(found[0]):
            found = (mounted, kind)
    return found[1]


def busy_share(seconds: float = 2.0) -> float:
    """How much of the machine's processors others use just now, from 0 to 1."""
    started, before = time.monotonic(), machine_busy_seconds()
    time.sleep(seconds)
    return (machine_busy_seconds() - before) / (time.monotonic() - started) / (os.cpu_count() or 1)


def _disk_rate(folder: Path) -> float:
    """Bytes a second of a file of 256 MB that is written and synced."""
    path = folder / "disk"
    piece = os.urandom(1 << 20)
    started = time.monotonic()
    with path.open("wb") as file:
        for _piece in range(256):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    rate = (256 << 20) / (time.monotonic() - started)
    path.unlink()
    return rate


def _value(path: str, name: str) -> str:
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        key, _colon, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "0"


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return platform.system()


def _commit() -> str:
    changed = _git("status", "--porcelain", "--", "../../plugins")
    return (_git("rev-parse", "--short", "HEAD") or "unknown") + (", with changes not committed" if changed else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=30, check=False
    )
    return done.stdout.strip()
