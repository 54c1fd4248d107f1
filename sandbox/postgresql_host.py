# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What PostgreSQL asks of the machine: a user that isn't root, folders that it can enter, no trace of a crash."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

from .errors import SandboxError
from .process import identify, processes_inside


def operating_system_user() -> str | None:
    """PostgreSQL refuses to run as root: root runs it as ``postgres`` (or ``nobody`` where there is no such user)."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise SandboxError("PostgreSQL doesn't run as root, and there is no user postgres or nobody: useradd postgres")


def as_user(user: str | None) -> list[str]:
    """The words before a command that run it as ``user``."""
    return [] if user is None else ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"]


def is_reachable(path: Path, user: str | None) -> bool:
    """Whether ``user`` can look into ``path``: a checkout below a private home folder is closed to postgres."""
    if user is None:
        return True
    return subprocess.run([*as_user(user), "test", "-x", str(path)], check=False, timeout=30).returncode == 0


def copy_programs(bin_directory: Path, copy: Path) -> Path:
    """Copy an installation whose folder is closed to the server's user, such as a virtual environment below /root.

    Returns the copy's bin directory. The PyPI package's programs look for their libraries three folders up, so both are
    copied with the folders between them.
    """
    installation, package, packages = bin_directory.parents[:3]
    if not copy.exists():
        temporary = copy.with_name(copy.name + ".new")
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(installation, temporary / package.name / installation.name, symlinks=True)
        libraries = packages / f"{package.name}.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, temporary / libraries.name)
        temporary.rename(copy)
    return copy / package.name / installation.name / bin_directory.name


def clear_after_crash(data_directory: Path) -> None:
    """Remove the lock files and the shared memory of a postmaster that was killed; nothing when it lives.

    PostgreSQL does so itself at its next start, but takes a zombie for alive (there is one for seconds where process 1
    is slow to reap), and there may be no next start: a System V segment stays in the kernel until the next boot.
    """
    lock = data_directory / "postmaster.pid"
    try:
        lines = lock.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    if identify(int(lines[0])).is_alive() or processes_inside(data_directory):
        return
    # Line 4: port, line 5: folder of the socket, line 7: key and id of the segment (src/include/utils/pidfile.h).
    if len(lines) >= 7 and lines[6].split():
        command = ["ipcrm", "--shmem-id", lines[6].split()[1]]
        subprocess.run(command, capture_output=True, check=False, timeout=30)
    if len(lines) >= 5 and lines[4]:
        for socket_file in Path(lines[4]).glob(f".s.PGSQL.{lines[3]}*"):
            socket_file.unlink()
    lock.unlink()


def major_version(bin_directory: Path) -> int:
    """The major version of the PostgreSQL in ``bin_directory``."""
    output = subprocess.run(
        [bin_directory / "postgres", "--version"], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    match = re.search(r"\(PostgreSQL\)\s+(\d+)", output)
    if match is None:
        raise SandboxError(f"{bin_directory}/postgres names no version: {output!r}")
    return int(match[1])
