# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host is, as plain text beside its files: enough to set up another one like it. For people, not for programs.

Each part asks the tools that are there; one that is missing is noted and stops nothing.
"""

from __future__ import annotations

import glob
import typing as t
from dataclasses import dataclass

from ..core.errors import CommandTimedOut, ToolMissing
from ..core.runner import Runner
from .entry import FILE, FOLDER, Entry
from .tar_writer import ending, header, padded

FOLDER_NAME = "system"
_TIMEOUT = 30.0
# A file of more is no configuration.
_LARGEST_FILE = 1024 * 1024
_DPKG = "${binary:Package}\\t${Version}\\t${Architecture}\\t${db:Status-Abbrev}\\n"
_RPM = "%{NAME}\\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\\t%{ARCH}\\n"


@dataclass(frozen=True)
class Part:
    """One member: every command and file of it, one after the other."""

    name: str
    commands: tuple[tuple[str, ...], ...] = ()
    files: tuple[str, ...] = ()


PARTS = (
    Part("kernel.txt", (("uname", "-a"),), ("/etc/os-release", "/proc/version", "/proc/cmdline", "/etc/hostname")),
    Part(
        "packages.txt",
        (("dpkg-query", "-W", "-f", _DPKG), ("rpm", "-qa", "--qf", _RPM), ("apk", "info", "-v")),
        ("/etc/apt/sources.list", "/etc/apt/sources.list.d/*", "/etc/yum.repos.d/*", "/etc/apk/repositories"),
    ),
    Part(
        "units.txt",
        (
            ("systemctl", "list-units", "--type=service", "--state=running", "--no-pager", "--plain", "--no-legend"),
            ("systemctl", "list-unit-files", "--state=enabled", "--no-pager", "--plain", "--no-legend"),
        ),
    ),
    Part(
        "network.txt",
        (("ip", "address"), ("ip", "route"), ("ip", "-6", "route"), ("ip", "rule")),
        ("/etc/resolv.conf", "/etc/hosts"),
    ),
    Part("disks.txt", (("lsblk", "-f"), ("df", "-PT"), ("swapon", "--show")), ("/proc/self/mounts", "/etc/fstab")),
    Part(
        "cron.txt",
        (("systemctl", "list-timers", "--all", "--no-pager", "--plain"),),
        ("/etc/crontab", "/etc/cron.d/*", "/var/spool/cron/crontabs/*", "/var/spool/cron/*"),
    ),
    Part("firewall.txt", (("nft", "list", "ruleset"), ("iptables-save",), ("ip6tables-save",))),
)


@dataclass(frozen=True)
class SystemSnapshot:
    """*members* in their order; *missing* are the tools that this host does not have."""

    members: tuple[tuple[str, bytes], ...]
    missing: tuple[str, ...]

    def tar(self, *, modified: int) -> bytes:
        """As one tar with a folder of its own; *modified* in nanoseconds since 1970."""
        folder = Entry(path=FOLDER_NAME, kind=FOLDER, mode=0o700, user=0, group=0, modified=modified)
        made = header(folder)
        for name, body in self.members:
            entry = Entry(
                path=f"{FOLDER_NAME}/{name}",
                kind=FILE,
                mode=0o600,
                user=0,
                group=0,
                modified=modified,
                size=len(body),
            )
            made += header(entry) + padded(body)
        return made + ending(len(made))


def take_snapshot(runner: Runner) -> SystemSnapshot:
    """Ask the host. What fails is told in the text itself."""
    missing: list[str] = []
    members = tuple((part.name, _text_of(part, runner, missing)) for part in PARTS)
    return SystemSnapshot(members=members, missing=tuple(dict.fromkeys(missing)))


def _text_of(part: Part, runner: Runner, missing: list[str]) -> bytes:
    sections = [_command(argv, runner, missing) for argv in part.commands]
    sections += [section for pattern in part.files for section in _files(pattern)]
    return b"\n".join(sections)


def _command(argv: t.Sequence[str], runner: Runner, missing: list[str]) -> bytes:
    title = f"# {' '.join(argv)}\n".encode()
    try:
        completed = runner.run(argv, timeout=_TIMEOUT, check=False)
    except ToolMissing:
        missing.append(argv[0])
        return title + f"# {argv[0]} is not on this host\n".encode()
    except CommandTimedOut:
        return title + f"# no answer within {_TIMEOUT:g} seconds\n".encode()
    failed = f"# ended with status {completed.status}\n".encode() + completed.error
    return title + completed.output + (failed if completed.status else b"")


def _files(pattern: str) -> t.Iterator[bytes]:
    for path in sorted(glob.glob(pattern)):
        title = f"# {path}\n".encode("utf-8", "surrogateescape")
        try:
            with open(path, "rb") as file:
                yield title + file.read(_LARGEST_FILE)
        except IsADirectoryError:
            continue
        except OSError as error:
            yield title + f"# can't be read: {error.strerror}\n".encode()
