# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back of a physical backup: unpacking, reading the stored bytes, reading through; against the tools alone."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

from sandbox.postgresql_host import as_user, operating_system_user

from .command import Command, script, words
from .contest import Contender, Contest, Figure, Limit
from .ours import ours
from .place import Place
from .postgresql import Cluster

_ROOT = Path(__file__).resolve().parents[2]
_MEMORY = 200_000_000
# Speed of at least 0.9 x is time of at most so many times.
_ALMOST = 1 / 0.9
UNPACK, CHECK, LISTING = "unpack", "check", "listing"


@contextlib.contextmanager
def restore_postgresql_contest(cluster: Cluster, place: Place) -> t.Iterator[Contest]:
    """Everybody reads the same stored bytes, and those who write sync the same file system."""
    repository = place.folder / "restore-repository"
    shutil.rmtree(repository, ignore_errors=True)
    work = place.folder / "restore-work"
    work.mkdir(mode=0o711, exist_ok=True)
    repository.mkdir()
    try:
        stored = _made(cluster, repository, work=work)
        yield _contest(cluster, stored, repository=repository)
    finally:
        shutil.rmtree(repository)
        shutil.rmtree(work)


def _made(cluster: Cluster, repository: Path, *, work: Path) -> Path:
    """One backup; its payload."""
    target = work / "target"
    target.mkdir()
    command = ours("postgresql", "base", {"connection": cluster.connection}, target=target)
    subprocess.run(command.argv, env={"PATH": "/usr/bin:/bin", **command.environment}, check=True, timeout=1800)
    shutil.rmtree(repository)
    target.rename(repository)
    return next(repository.rglob("base.tar.zst"))


def _contest(cluster: Cluster, stored: Path, *, repository: Path) -> Contest:
    name = shlex.quote(str(stored))
    user = operating_system_user()

    def own(what: str) -> t.Callable[[Path], Command]:
        def prepare(target: Path) -> Command:
            request = {
                "what": what,
                "repository": str(repository),
                "bin_directory": str(cluster.server.bin_directory),
                "folder": str(target / "data"),
            }
            return Command(
                argv=(sys.executable, "-m", "tests.bench.restore_postgresql", json.dumps(request)),
                target=target,
                environment={"PYTHONPATH": f"{_ROOT}:{_ROOT / 'tools' / 'typing'}"},
            )

        return prepare

    def bare(target: Path) -> Command:
        folder = shlex.quote(str(target / "data"))
        owner = f"chown {user} {folder}" if user else "true"
        unpack = f"{words(as_user(user))} tar -x -C {folder}"
        text = f"mkdir -m 0700 {folder}\n{owner}\nzstd -dcq {name} | {unpack}\nsync -f {folder}"
        return script(text, target=target)

    def tool(text: str) -> t.Callable[[Path], Command]:
        return lambda target: script(text, target=target)

    size = cluster.data_bytes()
    return Contest(
        name="restore-postgresql",
        title="Base backup of a PostgreSQL cluster, on its way back",
        data=f"{size / 1e9:.2f} GB without WAL, {stored.stat().st_size / 1e9:.2f} GB stored",
        data_bytes=size,
        contenders=(
            Contender("unpack", "Lifeboat, unpacking", own(UNPACK)),
            Contender("bare-unpack", "zstd -dc | tar -x, sync", bare),
            Contender("level-1", "Lifeboat, level 1", own(CHECK)),
            Contender("sha256sum", "sha256sum", tool(f"sha256sum {name}")),
            Contender("level-2", "Lifeboat, level 2", own(LISTING)),
            # In level 2 zstd has a reader: what it writes goes through a pipe.
            Contender("zstd", "zstd -dc | cat", tool(f"zstd -dcq {name} | cat > /dev/null")),
            Contender("zstd-null", "zstd -dc > /dev/null", tool(f"zstd -dcq {name} > /dev/null"), warm=False),
        ),
        figures=(
            Figure("unpacking: at least 0.9 x zstd -dc | tar -x", "unpack", "bare-unpack", at_most=_ALMOST),
            Figure("level 1: at least 0.9 x sha256sum", "level-1", "sha256sum", at_most=_ALMOST),
            Figure("level 2: at most 1.1 x its slowest process", "level-2", "zstd", at_most=1.1),
            Figure("(level 2 against zstd without a reader)", "level-2", "zstd-null"),
        ),
        limits=tuple(
            Limit(f"{key}: memory under 200 MB", key, lambda one: one.own_peak, _MEMORY)
            for key in ("unpack", "level-1", "level-2")
        ),
        server_pids=cluster.pids,
        settle=cluster.settle,
    )


def main() -> int:
    """Do one of the three, as restore and verification do it."""
    from lifeboat.catalog.catalog import read_catalog
    from lifeboat.core.host import Host
    from lifeboat.core.progress import Progress
    from lifeboat.core.secrets import Secret
    from lifeboat.operations.verifiers.postgresql_base import base
    from lifeboat.postgresql.base_unpack import unpack
    from lifeboat.postgresql.programs import find_server_programs
    from lifeboat.recovery.payload_source import PayloadSource
    from lifeboat.recovery.verifier import VerifierContext
    from lifeboat.storage.registry import open_storage

    asked = json.loads(sys.argv[1])
    host = Host()
    description = {"type": "file", "path": asked["repository"]}
    storage = open_storage(description, name="local", clock=host.clock, runner=host.runner, environment={})
    manifest = next(iter(read_catalog({"local": storage}).backups)).manifest
    source = PayloadSource(
        manifest=manifest, storage=storage, repository="local", runner=host.runner, identity=Secret(name="identity")
    )
    progress = Progress(clock=host.clock)
    if asked["what"] == UNPACK:
        major = int(manifest.content["server_version_number"]) // 10000
        programs = find_server_programs(major=major, runner=host.runner, bin_directory=asked["bin_directory"])
        unpack(source, folder=asked["folder"], programs=programs, progress=progress)
        host.runner.run(["sync", "-f", asked["folder"]], timeout=600)
    elif asked["what"] == CHECK:
        for payload in manifest.payloads:
            source.check(payload, progress=progress)
    else:
        verifier = base({})(VerifierContext(manifest=manifest, host=host))
        checks = list(verifier.listing(source=source, progress=progress))
        if not all(check.state == "passed" for check in checks):
            print(checks)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
