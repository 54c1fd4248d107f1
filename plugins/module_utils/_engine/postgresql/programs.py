# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's own programs (of exactly its major version) and the account that runs them: PostgreSQL refuses root."""

from __future__ import annotations

import os
import pwd
import shutil
import typing as t
from dataclasses import dataclass

from ..core.errors import CommandFailed, PostgresAccountMissing, RestoreVersionMismatch, ToolMissing
from ..core.runner import Completed, Runner, program_version

SERVER_ACCOUNT = "postgres"
# Debian keeps the server's programs off PATH, Red Hat's vendor packages below /usr/pgsql-N.
_DIRECTORIES = ("/usr/lib/postgresql/{major}/bin", "/usr/pgsql-{major}/bin")


@dataclass(frozen=True)
class ServerPrograms:
    """The programs of one installation: a data folder starts with those of its own major version only.

    *account* is the user who runs them, None when that is who we are.
    """

    bin_directory: str
    version: tuple[int, ...]
    account: str | None

    @property
    def major(self) -> int:
        """The major version: 15."""
        return self.version[0]

    def path(self, name: str) -> str:
        """The absolute path of a program, whether it is there or not."""
        return os.path.join(self.bin_directory, name)

    def has(self, name: str) -> bool:
        """Whether the program is there."""
        return os.access(self.path(name), os.X_OK)

    def as_account(self, argv: t.Sequence[str]) -> list[str]:
        """The words that run *argv* as the server's account."""
        return [*run_as(self.account), *argv]

    def run(
        self,
        name: str,
        *arguments: str,
        runner: Runner,
        timeout: float = 3600.0,
        environment: t.Mapping[str, str] | None = None,
        check: bool = True,
    ) -> Completed:
        """Run one program as the server's account. Raises CommandFailed, CommandTimedOut and ToolMissing."""
        return runner.run(
            self.as_account([self.path(name), *arguments]), timeout=timeout, environment=environment, check=check
        )

    def own(self, path: str) -> None:
        """Give a file or folder to the server's account."""
        if self.account is not None:
            shutil.chown(path, self.account, pwd.getpwnam(self.account).pw_gid)


def run_as(account: str | None) -> list[str]:
    """The words before a command that run it as *account* (of util-linux, which every distribution has)."""
    if account is None:
        return []
    return ["setpriv", f"--reuid={account}", f"--regid={pwd.getpwnam(account).pw_gid}", "--init-groups", "--"]


def server_account() -> str | None:
    """Who runs PostgreSQL here: the user postgres when we are root, else ourselves. Raises PostgresAccountMissing."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SERVER_ACCOUNT).pw_name
    except KeyError:
        raise PostgresAccountMissing(
            f"PostgreSQL does not run as root, and this host has no user {SERVER_ACCOUNT}.",
            hint="Run: useradd --system postgres   or install the distribution's postgresql package.",
        ) from None


def find_server_programs(*, major: int, runner: Runner, bin_directory: str = "") -> ServerPrograms:
    """The server programs of exactly the version *major*, in *bin_directory* when given.

    Raises ToolMissing, RestoreVersionMismatch when those in *bin_directory* are of another version, and
    PostgresAccountMissing.
    """
    account = server_account()
    on_path = shutil.which("postgres")
    directories = [bin_directory] if bin_directory else [pattern.format(major=major) for pattern in _DIRECTORIES]
    if on_path and not bin_directory:
        directories.append(os.path.dirname(on_path))
    for directory in directories:
        path = os.path.join(directory, "postgres")
        if not os.access(path, os.X_OK):
            continue
        version = program_version(path, runner=runner)
        if version and version[0] == major:
            found = ServerPrograms(bin_directory=directory, version=version, account=account)
            _require_reachable(found, runner=runner)
            return found
        if bin_directory:
            dotted = ".".join(str(part) for part in version) or "unknown"
            raise RestoreVersionMismatch(
                f"{path} is PostgreSQL {dotted}, and the backup is of PostgreSQL {major}: no other version starts it.",
                hint=f"Set bin_directory to the programs of PostgreSQL {major}.",
                details={"found": list(version), "needed": major},
            )
    package = f"postgresql-{major}"
    raise ToolMissing(
        f"The server programs of PostgreSQL {major} are not on this host"
        + (f" in {bin_directory}." if bin_directory else "."),
        hint=f"Install them, on Debian: apt-get install {package}   or set bin_directory to the folder of postgres.",
        details={"tool": "postgres", "package": package},
    )


def _require_reachable(programs: ServerPrograms, *, runner: Runner) -> None:
    if programs.account is None:
        return
    try:
        programs.run("postgres", "--version", runner=runner, timeout=20)
    except CommandFailed as error:
        raise ToolMissing(
            f"The user {programs.account} can't run {programs.path('postgres')}: {error.message}",
            hint=f"Let that user into the folder: namei -l {programs.bin_directory}",
            details={"tool": "postgres"},
        ) from error
