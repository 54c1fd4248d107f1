# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman with a storage of its own: what it makes here touches no container, image or network of this machine."""

from __future__ import annotations

import typing as t
from pathlib import Path

from tests.support.hosts.commands import HostsUnavailable, do

# The plain run, and what an old runtime or a host with low limits needs.
_RUNTIMES: t.Sequence[t.Sequence[str]] = (
    (),
    ("--runtime", "runc", "--ulimit", "nofile=20000:20000", "--ulimit", "nproc=20000:20000"),
)
_START_SECONDS = 180
# systemd answers only after its first steps. A unit that failed is the business of whoever installed it.
_WAIT = """\
for turn in $(seq 300); do
    state=$(systemctl is-system-running --wait 2>&1)
    case $state in running | degraded) exit 0 ;; esac
    sleep 0.1
done
echo "$state"
exit 1
"""


class Containers:
    """All containers below *folder*."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._way: t.Sequence[str] | None = None

    def argv(self, *words: object) -> list[str]:
        """A command of podman."""
        places = {"root": "storage", "runroot": "run", "tmpdir": "run/tmp"}
        own = [word for option, place in places.items() for word in (f"--{option}", str(self._folder / place))]
        # No image is ever stored here, so the driver that works everywhere does.
        return ["podman", *own, "--storage-driver", "vfs", "--log-level", "error", *(str(word) for word in words)]

    def create(
        self,
        name: str,
        *,
        root: Path,
        name_space: Path,
        names: t.Mapping[str, str],
        small_disks: t.Mapping[str, str],
    ) -> None:
        """Start systemd on *root*; *names* are the other hosts' addresses, *small_disks* folders with their sizes.

        It is still starting then: :meth:`wait`. Raises HostsUnavailable.
        """
        others = [word for other, address in names.items() for word in ("--add-host", f"{other}:{address}")]
        others += [word for place, size in small_disks.items() for word in ("--tmpfs", f"{place}:size={size}")]
        own = ["--name", name, "--hostname", name, "--network", f"ns:{name_space}", *others]
        reasons = []
        for way in _RUNTIMES if self._way is None else (self._way,):
            try:
                do(self.argv("run", "--detach", "--systemd=always", *own, *way, "--rootfs", root, "/sbin/init"))
                if self._way is None:
                    self.wait(name)
            except HostsUnavailable as error:
                reasons.append(str(error))
                do(self.argv("rm", "--force", "--ignore", "--time", 0, name))
                continue
            self._way = way
            return
        raise HostsUnavailable("; ".join(reasons))

    def wait(self, name: str) -> None:
        """Until systemd has started everything. Raises HostsUnavailable when it does not."""
        do(self.argv("exec", name, "sh", "-c", _WAIT), timeout=_START_SECONDS)

    def remove_all(self) -> None:
        """Whatever runs here is gone."""
        if (self._folder / "storage").exists():
            do(self.argv("rm", "--force", "--time", 0, "--all"))
