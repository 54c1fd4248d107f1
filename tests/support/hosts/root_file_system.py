# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The root file system of a whole host: Debian with systemd, the databases of the distribution, and the libraries that
the engine needs in a virtual environment. Nothing of Lifeboat is in it.

It is made by ``debootstrap`` and ``pip`` once, and kept in ``.cache/hosts`` until a requirement changes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import sys
import tempfile
import typing as t
from pathlib import Path

from tests.support.children import ROOT
from tests.support.hosts.commands import HostsUnavailable, do

#: What somebody installs on a host that has databases and is managed by Ansible.
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "python3", "python3-venv", "openssh-server", "cron", "iproute2", "procps"),
    *("ca-certificates", "sudo", "postgresql", "redis-server", "age", "zstd", "locales", "faketime"),
)
# What the mongod of the tests wants of the system that it was built for.
_OF_SUITE: t.Mapping[str, t.Sequence[str]] = {"bookworm": ("libcurl4",)}
#: The interpreter with the engine's libraries, inside of a host.
PYTHON = "/opt/lifeboat-libraries/bin/python"
_CACHE = ROOT / ".cache" / "hosts"
_REQUIREMENTS = ("requirements.txt", "constraints.txt")


def root_file_system(suite: str = "") -> Path:
    """Where it lies; it must not be written to. Raises HostsUnavailable.

    *suite* is another Debian than this machine's.
    """
    suite = suite or _suite()
    with _locked():
        root = _CACHE / f"{suite}-{_fingerprint(suite)}"
        if not root.exists():
            for old in _CACHE.glob(f"{suite}-*"):
                shutil.rmtree(old)
            _make(root, suite)
    return root


def wheelhouse(suite: str = "") -> Path:
    """A folder of the wheels that the engine needs on these hosts; not to be written to. Raises HostsUnavailable."""
    root = root_file_system(suite)
    with _locked():
        return _wheels(root, suite or _suite())


def _suite() -> str:
    facts = platform.freedesktop_os_release()
    if facts.get("ID") != "debian":
        raise HostsUnavailable(f"the packages of {facts.get('PRETTY_NAME', 'this system')} are not Debian's")
    if not shutil.which("debootstrap"):
        raise HostsUnavailable("debootstrap is not here: apt-get install debootstrap")
    return str(facts["VERSION_CODENAME"])


@contextlib.contextmanager
def _locked() -> t.Iterator[None]:
    _CACHE.mkdir(parents=True, exist_ok=True)
    with open(_CACHE / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _packages(suite: str) -> list[str]:
    return [*PACKAGES, *_OF_SUITE.get(suite, ())]


def _fingerprint(suite: str) -> str:
    """Changes with everything that the file system is made of."""
    parts = [*_packages(suite), PYTHON, *((ROOT / name).read_text(encoding="utf-8") for name in _REQUIREMENTS)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _make(root: Path, suite: str) -> None:
    mirror = os.environ.get("LIFEBOAT_DEBIAN_MIRROR")
    unfinished = Path(tempfile.mkdtemp(dir=_CACHE, prefix="unfinished-"))
    # Before anything is installed: postgres makes its cluster in there, and must be let in.
    unfinished.chmod(0o755)
    try:
        include = f"--include={','.join(_packages(suite))}"
        do(["debootstrap", "--variant=minbase", include, suite, unfinished, *([mirror] if mirror else [])], timeout=900)
        shutil.rmtree(unfinished / "var/cache/apt/archives", ignore_errors=True)
        _install_libraries(unfinished, suite)
        unfinished.rename(root)
    finally:
        if unfinished.exists():
            shutil.rmtree(unfinished, ignore_errors=True)


def _install_libraries(root: Path, suite: str) -> None:
    """Fetched out here, where pip is set up for this machine; installed in there without a network."""
    wheels = root / "wheels"
    shutil.copytree(_wheels(root, suite), wheels)
    environment = Path(PYTHON).parents[1]
    do(["chroot", root, "python3", "-m", "venv", environment])
    install = [PYTHON, "-m", "pip", "install", "--quiet", "--no-index", "--find-links=/wheels"]
    shutil.copy(ROOT / "requirements.txt", wheels)
    do(["chroot", root, *install, "-r", "/wheels/requirements.txt"], timeout=600)
    shutil.rmtree(wheels)


def _wheels(root: Path, suite: str) -> Path:
    """The wheels of all that the engine needs, for the Python of the hosts; kept as long as the file system."""
    place = _CACHE / f"wheels-{suite}-{_fingerprint(suite)}"
    if place.exists():
        return place
    for old in _CACHE.glob(f"wheels-{suite}-*"):
        shutil.rmtree(old)
    version = do(["chroot", root, "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()
    fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--python-version", version]
    unfinished = Path(tempfile.mkdtemp(dir=_CACHE, prefix="unfinished-"))
    try:
        requirements = ["-r", ROOT / "requirements.txt", "-c", ROOT / "constraints.txt"]
        do([*fetch, "-d", unfinished, *requirements], timeout=600)
        unfinished.chmod(0o755)
        unfinished.rename(place)
    finally:
        if unfinished.exists():
            shutil.rmtree(unfinished, ignore_errors=True)
    return place
