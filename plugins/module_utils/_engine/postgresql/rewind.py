# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking back what a former primary wrote and its successor never had, by pg_rewind, and nothing halfway unseen.

A dry run comes first: what it refuses is refused before anything is touched. A folder beside the data folder holds the
configuration of before while pg_rewind works, since that copies its source's; while the folder is there the cluster
counts as half done.
"""

from __future__ import annotations

import os
import shlex
import shutil
import typing as t
from dataclasses import dataclass

from ..core.durable import fsync_folder
from ..core.errors import CommandFailed, RewindFailed
from ..core.host import Host
from .base_folder import control_settings
from .cluster_configuration import HBA_CONF, IDENT_CONF, POSTGRESQL_CONF, become_standby
from .configuration_files import replace_configuration
from .programs import ServerPrograms
from .recovery_settings import AT_LEAST
from .server_settings import settings_text
from .server_state import postmaster_pid, severe_lines
from .standby_folder import SHUT_DOWN, SHUT_DOWN_IN_RECOVERY

_SUFFIX, _TOOLS = ".rewinding", "-tools"
_CONFIGURATION = "pg_rewind.conf"
#: Since then pg_rewind is told where the configuration lies; before, it looks in the data folder only.
_KNOWS_CONFIG_FILE = 15
_TIMEOUT = 24 * 3600.0
_RECOVERY_TIMEOUT = 3600


@dataclass(frozen=True)
class Rewind:
    """One folder to be rewound to the server of *source* (a line of libpq).

    *restore_command* gets WAL that the folder has no longer; empty: it must be there.
    """

    folder: str
    source: str
    programs: ServerPrograms
    host: Host
    restore_command: str = ""

    def refusal(self) -> str | None:
        """Why pg_rewind won't do it, in its own words; None when it will. Changes nothing."""
        with _Workshop(self) as workshop:
            done = self._run(workshop, "--dry-run", check=False)
        if done.status == 0:
            return None
        said = done.error.decode("utf-8", "replace").strip().splitlines()
        words = [line.partition("error: ")[2] or line.partition("fatal: ")[2] for line in said]
        return next((one for one in words if one), said[-1] if said else f"it ended with status {done.status}")

    def run(self) -> None:
        """Do it. Raises RewindFailed: then only a rebuild helps."""
        with _Workshop(self) as workshop:
            workshop.save()
            try:
                self._run(workshop, "--write-recovery-conf")
            except CommandFailed as error:
                raise RewindFailed(
                    f"pg_rewind of {self.folder} ended in the middle of its work: {error.message}",
                    hint="The folder is no cluster any more. Do the same again with rejoin: auto or rebuild.",
                    details=error.details,
                ) from error
            become_standby(self.folder, programs=self.programs)
            workshop.put_back()

    def _run(self, workshop: _Workshop, *arguments: str, check: bool = True) -> t.Any:
        argv = ["--target-pgdata", self.folder, "--source-server", self.source, *arguments]
        if self.restore_command and workshop.configuration:
            argv += ["--restore-target-wal", "--config-file", workshop.configuration]
        return self.programs.run("pg_rewind", *argv, runner=self.host.runner, timeout=_TIMEOUT, check=check)


@t.final
class _Workshop:
    """The folder beside, while pg_rewind works: made by ``with``, and gone when that went well."""

    def __init__(self, rewind: Rewind) -> None:
        self._rewind = rewind
        self._folder = work_folder(rewind.folder)
        self._tools = self._folder + _TOOLS
        self.configuration = ""

    def __enter__(self) -> _Workshop:
        shutil.rmtree(self._tools, ignore_errors=True)
        os.mkdir(self._tools, 0o700)
        self._rewind.programs.own(self._tools)
        if self._rewind.restore_command and self._rewind.programs.major >= _KNOWS_CONFIG_FILE:
            self.configuration = os.path.join(self._tools, _CONFIGURATION)
            text = settings_text({"restore_command": self._rewind.restore_command})
            _put(self.configuration, text, self._rewind.programs)
        return self

    def __exit__(self, *exc_info: object) -> None:
        shutil.rmtree(self._tools, ignore_errors=True)

    def save(self) -> None:
        """Keep the configuration, and note that the cluster is half done from now on."""
        new = f"{self._folder}.new"
        shutil.rmtree(new, ignore_errors=True)
        os.mkdir(new, 0o700)
        replace_configuration(self._rewind.folder, new, programs=self._rewind.programs)
        os.rename(new, self._folder)
        fsync_folder(os.path.dirname(self._folder))

    def put_back(self) -> None:
        """The configuration is the folder's own again, and the cluster whole."""
        replace_configuration(self._folder, self._rewind.folder, programs=self._rewind.programs)
        shutil.rmtree(self._folder)


def work_folder(folder: str) -> str:
    """The folder beside a data folder that says that a rewind of it is under way, or died."""
    return folder + _SUFFIX


def is_half_rewound(folder: str) -> bool:
    """Whether a pg_rewind died in it."""
    return os.path.lexists(work_folder(folder))


def forget_half_rewound(folder: str) -> None:
    """The folder is another one by now."""
    shutil.rmtree(work_folder(folder), ignore_errors=True)


def recover_crashed(folder: str, *, programs: ServerPrograms, host: Host) -> None:
    """Have a crashed primary replay what is on its own disk, as a standby that nobody reaches and that follows nobody.

    Then its control file says where its WAL ends, and pg_rewind takes it. pg_rewind's own way would be a server in
    single-user mode, for which ``standby.signal`` would have to go: for that time any start would make a primary.
    Raises RewindFailed.
    """
    become_standby(folder, programs=programs)
    tools = work_folder(folder) + _TOOLS
    shutil.rmtree(tools, ignore_errors=True)
    os.mkdir(tools, 0o700)
    programs.own(tools)
    log = os.path.join(tools, "log")
    try:
        for name, text in ((POSTGRESQL_CONF, ""), (HBA_CONF, "local all all reject\n"), (IDENT_CONF, "")):
            _put(os.path.join(tools, name), text, programs)
        control = control_settings(folder, programs=programs, runner=host.runner)
        options = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in _lonely(tools, control).items())
        argv = ("-D", folder, "-w", "-t", str(_RECOVERY_TIMEOUT), "-s")
        timeout = _RECOVERY_TIMEOUT + 60.0
        start, stop = ("start", *argv, "-l", log, "-o", options), ("stop", *argv, "-m", "fast")
        programs.run("pg_ctl", *start, runner=host.runner, timeout=timeout, check=False)
        if postmaster_pid(folder) is not None:
            programs.run("pg_ctl", *stop, runner=host.runner, timeout=timeout, check=False)
        state = control_settings(folder, programs=programs, runner=host.runner).get("Database cluster state")
        if postmaster_pid(folder) is not None or state not in (SHUT_DOWN, SHUT_DOWN_IN_RECOVERY):
            said = severe_lines(log)
            raise RewindFailed(
                f"The crashed server in {folder} could not replay what is on its own disk: "
                f"{said[-1] if said else f'it is {state}'}",
                hint="Do the same again with rejoin: rebuild; what is there is moved aside, not removed.",
                details={"said": said, "state": state},
            )
    finally:
        shutil.rmtree(tools, ignore_errors=True)


def _lonely(tools: str, control: t.Mapping[str, str]) -> dict[str, str]:
    """A server that nobody reaches, that asks nobody, and that stays on its timeline."""
    return {
        "config_file": os.path.join(tools, POSTGRESQL_CONF),
        "hba_file": os.path.join(tools, HBA_CONF),
        "ident_file": os.path.join(tools, IDENT_CONF),
        "listen_addresses": "",
        "unix_socket_directories": ".",
        "ssl": "off",
        "primary_conninfo": "",
        "primary_slot_name": "",
        "restore_command": "",
        "recovery_target_timeline": "current",
        "hot_standby": "on",
        "archive_mode": "off",
        "shared_preload_libraries": "",
        "logging_collector": "off",
        "dynamic_shared_memory_type": "mmap",
        # With less it would not come to the end.
        **{name: control[label] for label, name in AT_LEAST.items() if label in control},
    }


def _put(path: str, text: str, programs: ServerPrograms) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    programs.own(path)
