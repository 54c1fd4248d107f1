# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole hosts for a test: systemd, ssh and databases of their own, names for each other, and a controller's view.

    with fleet("one", "two") as hosts:
        hosts["one"].run("systemctl is-active redis-server")
        hosts["one"].reboot()
        hosts.play("playbooks/backup.yml", inventory={...})

What a fleet makes lies in or below one folder: containers, mounts and name spaces. All of it is gone at the end of the
block; after a ``kill -9`` the next fleet removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import shutil
import subprocess
import tempfile
import typing as t
import uuid
from pathlib import Path

from tests.support.children import processes_that_name
from tests.support.compiled_once import compile_once_in
from tests.support.hosts.commands import HostsUnavailable, do
from tests.support.hosts.containers import Containers
from tests.support.hosts.network import Network
from tests.support.hosts.root_file_system import PYTHON, root_file_system
from tests.support.waiting import wait_for

_PREFIX = "lifeboat-hosts-"
_LOCK = "lock"


class Host:
    """One host of a fleet. A command inside of it is typed at root's shell, and needs neither network nor ssh."""

    def __init__(self, *, name: str, root: Path, containers: Containers, network: Network) -> None:
        self.name = name
        self.address = network.address(name)
        self._root = root
        self._containers = containers
        self._network = network

    def run(self, command: str, *, user: str = "root", timeout: float = 120, data: bytes | None = None) -> str:
        """What *command* printed; fails the test when its exit status is not 0."""
        done = self.attempt(command, user=user, timeout=timeout, data=data)
        assert done.returncode == 0, f"{self.name}: {command}\n{done.returncode}\n{done.stdout}\n{done.stderr}"
        return str(done.stdout)

    def attempt(
        self, command: str, *, user: str = "root", timeout: float = 120, data: bytes | None = None
    ) -> subprocess.CompletedProcess[str]:
        """The same for a command that may fail."""
        argv = [*self.shell(user=user), "-c", command]
        done = subprocess.run(argv, input=data, capture_output=True, timeout=timeout, check=False)
        said = (done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
        return subprocess.CompletedProcess(argv, done.returncode, *said)

    def shell(self, *, user: str = "root") -> list[str]:
        """What starts a shell there, on this machine."""
        return self._containers.argv("exec", "--interactive", "--user", user, self.name, "bash")

    def write(self, path: str, text: str, *, mode: int = 0o600, owner: str = "root") -> None:
        """A file with *text*, in a folder that is made when it is missing."""
        place = shlex.quote(path)
        folder = shlex.quote(os.path.dirname(path))
        command = f"mkdir -p {folder} && install -m {mode:o} -o {owner} /dev/stdin {place}"
        self.run(command, data=text.encode())

    def copy_into(self, source: Path, folder: str) -> None:
        """A file or a folder of this machine into *folder* of the host, under its own name."""
        packed = subprocess.run(
            ["tar", "--create", "--dereference", "--directory", source.parent, source.name],
            check=True,
            capture_output=True,
        ).stdout
        place = shlex.quote(folder)
        self.run(f"mkdir -p {place} && tar --extract --no-same-owner --directory {place}", data=packed)

    def read(self, path: str) -> str:
        """The text of a file."""
        return self.run(f"cat {shlex.quote(path)}")

    def reboot(self, *, seconds: int = 30) -> None:
        """Shut down in good order and start again; ready when systemd has started everything."""
        do(self._containers.argv("restart", "--time", seconds, self.name))
        self._containers.wait(self.name)

    def stop(self, *, seconds: int = 30) -> None:
        """Shut down in good order; the disk stays."""
        do(self._containers.argv("stop", "--time", seconds, self.name))
        self._network.plug(self.name, in_=False)

    def kill(self) -> None:
        """Pull the plug: every process dies at once, and the network says nothing any more. The disk stays."""
        self._network.plug(self.name, in_=False)
        do(self._containers.argv("kill", self.name))
        do(self._containers.argv("wait", self.name))

    def start(self) -> None:
        """Start a host that was stopped or killed."""
        self._network.plug(self.name, in_=True)
        do(self._containers.argv("start", self.name))
        self._containers.wait(self.name)

    def host_key(self) -> str:
        """The public key that ssh shows."""
        return (self._root / "etc/ssh/ssh_host_ed25519_key.pub").read_text(encoding="utf-8")


class Fleet:
    """The hosts by name; *folder* is the controller's own."""

    def __init__(self, *, folder: Path, network: Network, containers: Containers, hosts: t.Mapping[str, Host]) -> None:
        self.folder = folder
        self.network = network
        self.containers = containers
        self.hosts = hosts

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    @property
    def key(self) -> Path:
        """The private key that opens root's account on every host, for as long as the fleet is there."""
        return self.folder / "key"

    @property
    def known_hosts(self) -> Path:
        """What ssh compares the hosts' keys with."""
        return self.folder / "known_hosts"

    def hang_up(self) -> None:
        """End the connections that ssh keeps open: whoever comes in again has to log in."""
        _hang_up(self.folder)

    @property
    def control_path(self) -> Path:
        """Where ssh keeps connections open; short, because it is a path of sockets."""
        return self.folder / "cp"


@contextlib.contextmanager
def fleet(
    *names: str,
    suite: str = "",
    small_disks: t.Mapping[str, str] | None = None,
    sites: t.Mapping[str, t.Collection[str]] | None = None,
) -> t.Iterator[Fleet]:
    """Start hosts of these names. Raises HostsUnavailable when this machine can't.

    *suite* is another Debian than this machine's; *small_disks* are folders with a size of their own, such as "20m";
    *sites* are those that are not the controller's, each with its hosts.
    """
    _require_this_machine()
    root = root_file_system(suite)
    sweep()
    with contextlib.ExitStack() as stack:
        with _alone():
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
            lock = stack.enter_context(open(folder / _LOCK, "wb"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            network = Network(folder / "network")
            stack.callback(network.end)
            place = {host: site for site, hosts in (sites or {}).items() for host in hosts}
            for site in sites or {}:
                network.add_site(site)
            for name in names:
                network.add(name, site=place.get(name, "controller"))
            yield _started(folder, root=root, network=network, names=names, small_disks=small_disks or {})
        finally:
            _remove(folder)


def sweep() -> None:
    """Remove what fleets left whose process has died."""
    with _alone():
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError), open(folder / _LOCK, "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)


@contextlib.contextmanager
def _alone() -> t.Iterator[None]:
    """One fleet at a time begins or is swept: with a folder and no lock yet a new one looks as if it had died."""
    place = os.open(tempfile.gettempdir(), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def _require_this_machine() -> None:
    if os.geteuid() != 0:
        raise HostsUnavailable("it takes root to start whole hosts")
    for program, package in {
        "podman": "podman",
        "ssh": "openssh-client",
        "ip": "iproute2",
        "nsenter": "util-linux",
    }.items():
        if shutil.which(program) is None:
            raise HostsUnavailable(f"{program} is not here: apt-get install {package}")


def _started(
    folder: Path, *, root: Path, network: Network, names: t.Sequence[str], small_disks: t.Mapping[str, str]
) -> Fleet:
    addresses = {name: network.address(name) for name in names}
    containers = Containers(folder)
    made = Fleet(
        folder=folder,
        network=network,
        containers=containers,
        hosts={
            name: Host(name=name, root=_disk(folder, root=root, name=name), containers=containers, network=network)
            for name in names
        },
    )
    do(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "throw-away", "-f", made.key])
    made.control_path.mkdir()
    keys = []
    for name, host in made.hosts.items():
        account = _disk_of(folder, name) / "root/.ssh"
        account.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(made.key.with_suffix(".pub"), account / "authorized_keys")
        others = {other: address for other, address in addresses.items() if other != name}
        containers.create(
            name,
            root=_disk_of(folder, name),
            name_space=network.name_space(name),
            names=others,
            small_disks=small_disks,
        )
        keys.append(f"{host.address} {host.host_key()}")
    for name in names:
        containers.wait(name)
    made.known_hosts.write_text("".join(keys), encoding="utf-8")
    return made


def _disk_of(folder: Path, name: str) -> Path:
    return folder / "disks" / name / "root"


def _disk(folder: Path, *, root: Path, name: str) -> Path:
    """A host's own disk: a layer above the root file system."""
    place = _disk_of(folder, name)
    upper, work = place.with_name("upper"), place.with_name("work")
    for one in (place, upper, work):
        one.mkdir(parents=True)
    # As on any disk, a folder must be one that can be renamed, wherever its layer is.
    options = f"redirect_dir=on,lowerdir={root},upperdir={upper},workdir={work}"
    do(["mount", "-t", "overlay", "-o", options, "none", place])
    # systemd would take the one of this machine, for all hosts alike.
    (place / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n", encoding="utf-8")
    (libraries,) = place.glob(f"{PYTHON[1:].removesuffix('bin/python')}lib/python3.*/site-packages")
    compile_once_in(libraries)
    return place


def _remove(folder: Path) -> None:
    """Everything that a fleet has made, as far as it had come."""
    _hang_up(folder)
    Containers(folder).remove_all()
    # A container's monitor outlives it: it begins `podman container cleanup`, which writes here after `podman rm` has
    # returned (conmon(8), --exit-command).
    wait_for(lambda: not processes_that_name(str(folder)), what=lambda: f"{processes_that_name(str(folder))} ended")
    for place in reversed(_mounts_below(folder)):
        do(["umount", place])
    shutil.rmtree(folder)


def _hang_up(folder: Path) -> None:
    for socket in (folder / "cp").glob("*"):
        with contextlib.suppress(HostsUnavailable):  # it has ended by itself
            do(["ssh", "-F", "none", "-o", f"ControlPath={socket}", "-O", "exit", "nobody"])


def _mounts_below(folder: Path) -> list[str]:
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]
    return sorted(place for place in mounts if place.startswith(f"{folder}/"))
