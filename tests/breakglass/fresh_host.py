# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fresh host: a root file system with the distribution's packages and nothing else, and no network but its own.

It is made by ``debootstrap`` once and kept in ``.cache``; every run works on a throw-away layer above it, in podman
where that works, else in name spaces of its own.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.children import ROOT

#: What somebody installs who reads RESTORE.md.
PACKAGES = ("postgresql", "redis-server", "age", "zstd")
PODMAN, NAME_SPACES = "podman", "name spaces"
_CACHE = ROOT / ".cache" / "breakglass"
# The plain run of a container, and what an old runtime or a host with low limits needs.
_PODMAN = ("podman", "run", "--rm", "-i", "--network", "none", "--ulimit", "nofile=20000:20000")
_RUNTIMES = ((), ("--runtime", "runc", "--ulimit", "nproc=20000:20000"))
_CHROOT = """\
set -eu
root=$1 work=$2
shift 2
mount -t tmpfs none "$work"
mkdir "$work/upper" "$work/layer" "$work/root"
mount -t overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/layer" none "$work/root"
while test $# -gt 0; do
    mkdir -p "$work/root$1"
    mount --bind "$2" "$work/root$1"
    mount -o remount,ro,bind "$work/root$1"
    shift 2
done
mount -t proc none "$work/root/proc"
mount -t tmpfs none "$work/root/dev"
for name in null zero random urandom; do
    touch "$work/root/dev/$name"
    mount --bind "/dev/$name" "$work/root/dev/$name"
done
ln -s /proc/self/fd "$work/root/dev/fd"
mkdir -m 1777 "$work/root/dev/shm"
mount -t tmpfs none "$work/root/dev/shm"
if command -v ip > /dev/null; then ip link set lo up; fi
exec chroot "$work/root" bash
"""

Command = t.Callable[[t.Mapping[str, Path]], list[str]]


@dataclass(frozen=True)
class FreshHost:
    """*root* is the file system; *command* is what runs ``bash`` on it, with folders (place to folder) put in."""

    root: Path
    way: str
    command: Command

    def run(
        self, script: str, *, bucket: Path, others: t.Mapping[str, Path] | None = None, timeout: float = 240
    ) -> str:
        """Type *script* at a root shell of the host; what it printed.

        The host sees *bucket* as /bucket, and *others* at their places, all of them read-only.
        """
        done = subprocess.run(
            self.command({"/bucket": bucket, **(others or {})}),
            input=script,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"{self.way}: {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
        return done.stdout


def fresh_host(work: Path, *, way: str | None = None) -> FreshHost:
    """The host, by the first *way* that works here; skips the test, loudly, where there is none.

    *work* is an empty folder.
    """
    if os.geteuid() != 0:
        _skip("it takes root to make a root file system and to enter it")
    root = _root_file_system()
    reasons = []
    for name, command in _ways(root, work):
        if way in (None, name):
            host = FreshHost(root=root, way=name, command=command)
            problem = _problem(host, work)
            if problem is None:
                return host
            reasons.append(f"{name}: {problem}")
    return _skip("; ".join(reasons))


def _ways(root: Path, work: Path) -> t.Iterator[tuple[str, Command]]:
    for more in _RUNTIMES if shutil.which("podman") else ():

        def in_podman(folders: t.Mapping[str, Path], more: t.Sequence[str] = more) -> list[str]:
            mounts = [word for place, folder in folders.items() for word in ("-v", f"{folder}:{place}:ro")]
            return [*_PODMAN, *more, *mounts, "--rootfs", f"{root}:O", "bash"]

        yield PODMAN, in_podman
    layers = work / "layers"
    layers.mkdir()

    def in_name_spaces(folders: t.Mapping[str, Path]) -> list[str]:
        mounts = [str(word) for pair in folders.items() for word in pair]
        inside = ["bash", "-c", _CHROOT, "bash", str(root), str(layers), *mounts]
        return ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", *inside]

    yield NAME_SPACES, in_name_spaces


def _problem(host: FreshHost, work: Path) -> str | None:
    """Why the host can't be entered; None when it can."""
    bucket = work / "empty"
    bucket.mkdir(exist_ok=True)
    try:
        done = subprocess.run(
            host.command({"/bucket": bucket}),
            input="set -eu; touch /x; ls -d /bucket /proc/self /dev/null; redis-server --version",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0 and "/bucket" in done.stdout and not (host.root / "x").exists():
        return None
    return (done.stderr.strip() or f"exit status {done.returncode}")[-500:]


def _root_file_system() -> Path:
    facts = platform.freedesktop_os_release()
    if facts.get("ID") != "debian":
        _skip(f"the packages of {facts.get('PRETTY_NAME', 'this system')} are not Debian's")
    if not shutil.which("debootstrap"):
        _skip("debootstrap is not here: apt-get install debootstrap")
    suite = facts["VERSION_CODENAME"]
    _CACHE.mkdir(parents=True, exist_ok=True)
    with open(_CACHE / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        root = _CACHE / f"{suite}-{'-'.join(PACKAGES)}"
        if not root.exists():
            _make(root, suite)
    return root


def _make(root: Path, suite: str) -> None:
    mirror = os.environ.get("LIFEBOAT_DEBIAN_MIRROR")
    unfinished = Path(tempfile.mkdtemp(dir=_CACHE, prefix="unfinished-"))
    # Before anything is installed: postgres makes its cluster in there, and must be let in.
    unfinished.chmod(0o755)
    try:
        done = subprocess.run(
            [
                "debootstrap",
                "--variant=minbase",
                f"--include={','.join(PACKAGES)}",
                suite,
                str(unfinished),
                *([mirror] if mirror else []),
            ],
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        if done.returncode != 0:
            _skip(f"debootstrap: {(done.stdout + done.stderr).strip()[-800:]}")
        shutil.rmtree(unfinished / "var/cache/apt/archives", ignore_errors=True)
        if not any((unfinished / "etc/postgresql").glob("*/main")):
            log = (unfinished / "var/log/bootstrap.log").read_text(encoding="utf-8", errors="replace")
            pytest.fail(f"Debian's package made no cluster: {log[-2000:]}")
        unfinished.rename(root)
    finally:
        if unfinished.exists():
            shutil.rmtree(unfinished, ignore_errors=True)


def _skip(reason: str) -> t.NoReturn:
    pytest.skip(f"SKIPPED LOUDLY: no fresh host for the break-glass tests: {reason}")
