# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calling WAL-G: as the server's account, with every place named, and no answer believed by its exit status alone."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import tempfile
import typing as t
from dataclasses import dataclass, field

from ..core.clock import Clock
from ..core.errors import ToolTooOld, WalgFailed, WalgRemovalDenied, WalgSegmentMissing
from ..core.runner import Completed, Runner, find_program, require_version
from .programs import run_as
from .walg_deletes import count_objects, is_denied, parse_folders, parse_marked, parse_names
from .walg_options import FILE_PREFIX, WalgOptions, WalgSettings, read_settings
from .walg_records import (
    USER_DATA,
    ArchiveState,
    StoredTimeline,
    WalgBackup,
    WalgSentinel,
    parse_archive,
    parse_backups,
    parse_damage,
    parse_sentinel,
    parse_timelines,
)

#: Of ``wal-fetch``: the storage answered, and it has no such file (measured with 3.0.9).
MISSING_STATUS = 74
_LONG, _SHORT = 7 * 86400.0, 600.0
_VERSION = re.compile(r"\bv?(\d+)\.(\d+)(?:\.(\d+))?")
_OLDEST = (3, 0, 0)
# Before it a crash could leave half a file under a file's whole name (WAL-G's change "atomic and durable", 2026).
_OLDEST_FOR_FILES = (3, 0, 9)
# A build of one's own says "devel": then only what it can do tells.
_NEEDED: t.Mapping[str, tuple[str, ...]] = {
    "backup-push": ("--add-user-data", "--full", "--verify"),
    "backup-list": ("--detail", "--json"),
    "wal-verify": ("--json", "--backup-name"),
    "wal-show": ("--detailed-json", "--without-backups"),
    "wal-fetch": (),
    "backup-fetch": ("--restore-spec",),
}
# Only for who removes: a build without it still makes and restores backups.
_NEEDED_TO_REMOVE: t.Mapping[str, tuple[str, ...]] = {"delete": ("--confirm", "target", "garbage")}
_TRIES = 4
# Each is known to have lost data in restores (WAL-G issues 1723 and 1296), whatever a file says.
_PLAIN_FETCH: t.Mapping[str, str] = {
    "WALG_USE_REVERSE_UNPACK": "false",
    "WALG_SKIP_REDUNDANT_TARS": "false",
}
# One at a time turns the prefetch off, which would leave processes and files behind.
_NO_PREFETCH: t.Mapping[str, str] = {"WALG_DOWNLOAD_CONCURRENCY": "1"}


@dataclass(frozen=True)
class WalgProgram:
    """One WAL-G with its settings. *account* runs it, None for ourselves; *environment* is added for every call."""

    path: str
    version: str
    settings: WalgSettings
    account: str | None
    runner: Runner
    environment: t.Mapping[str, str] = field(default_factory=dict)

    def backups(self) -> tuple[WalgBackup, ...]:
        """All in the storage, the oldest first; none is an empty tuple."""
        # Without any WAL-G prints an empty list; without a storage it fails.
        return parse_backups(self.call("backup-list", "--detail", "--json").text)

    def names(self) -> frozenset[str]:
        """The names of all in the storage; also answered when one of them is half removed, unlike :meth:`backups`."""
        return parse_names(self.call("backup-list", "--json").text)

    def leftovers(self, name: str) -> int:
        """How many objects there are in a backup's folder."""
        # Asking for a folder that is not there makes it, in a storage of files.
        if name not in parse_folders(self.call("st", "ls", "basebackups_005").text):
            return 0
        return count_objects(self.call("st", "ls", "-r", f"basebackups_005/{name}/").text)

    def remove_leftovers(self, name: str) -> None:
        """Remove a backup's folder of which the sentinel is gone: ``delete target`` does not know it any more."""
        # The slash at the end matters: without it everything goes whose name begins so (measured with 3.0.9).
        self._delete("st", "rm", f"basebackups_005/{name}/")

    def would_delete(self, *command: str) -> tuple[str, ...]:
        """What ``delete`` with these words would remove, as it says itself; nothing is removed."""
        return parse_marked(self.call("delete", *command, timeout=_LONG).error.decode("utf-8", "replace"))

    def delete(self, *command: str) -> None:
        """Have ``delete`` done. Raises WalgRemovalDenied where the storage does not let it, WalgFailed."""
        self._delete("delete", *command, "--confirm")

    def _delete(self, *arguments: str) -> None:
        done = self.call(*arguments, timeout=_LONG, check=False)
        if done.status == 0:
            return
        failed = self.failure(arguments[0], done)
        if is_denied(done.error.decode("utf-8", "replace")):
            raise WalgRemovalDenied(
                f"WAL-G may not delete in {self.settings.prefix}. {failed.message}",
                hint="Give the account that WAL-G uses the right to delete there, then: lifeboat prune --yes goes on.",
                details=dict(failed.details),
            )
        raise failed

    def sentinel_text(self, name: str) -> str:
        """A backup's ``backup_stop_sentinel.json`` as it lies in the storage."""
        return self.call("st", "cat", f"basebackups_005/{name}_backup_stop_sentinel.json").text

    def sentinel(self, name: str) -> WalgSentinel:
        """The same, read."""
        return parse_sentinel(self.sentinel_text(name))

    def damaged(self, name: str) -> tuple[str, ...]:
        """The files in which WAL-G met pages whose checksum is wrong; ``backup-push`` ends well in spite of them."""
        return parse_damage(self.call("st", "cat", f"basebackups_005/{name}/files_metadata.json").text)

    def archive(self, name: str) -> ArchiveState:
        """Whether what was finished since a backup's begin is in the storage; asks the server for the newest position.

        It looks at segments *before* the server's current one only. Behind a backup on a quiet server that is none at
        all, and it says OK (measured with 3.0.9): the backup's own segments are to be looked for in :meth:`timelines`.
        """
        done = self.call("wal-verify", "integrity", "timeline", "--json", "--backup-name", name)
        return parse_archive(done.text)

    def timelines(self) -> tuple[StoredTimeline, ...]:
        """What WAL there is in the storage; asks no server."""
        return parse_timelines(self.call("wal-show", "--detailed-json", "--without-backups").text)

    def push(self, data_directory: str, *, backup_id: str, full: bool, verify: bool, max_steps: int) -> str:
        """Make a backup; what WAL-G said. The argument holds an id and nothing secret."""
        argv = ["backup-push", data_directory, "--add-user-data", json.dumps({USER_DATA: backup_id})]
        argv += ["--full"] if full else []
        argv += ["--verify"] if verify else []
        done = self.call(*argv, timeout=_LONG, environment={"WALG_DELTA_MAX_STEPS": str(max_steps)})
        return done.error.decode("utf-8", "replace")

    def fetch_backup(self, name: str, folder: str) -> None:
        """Unpack a backup, with all that it builds on, into *folder*, which must be empty."""
        self.call("backup-fetch", folder, name, timeout=_LONG, environment=_PLAIN_FETCH)

    def fetch_wal(self, name: str, path: str, *, segment_size: int | None, clock: Clock) -> None:
        """Write one file of the archive to *path*, whole or not at all.

        WAL-G leaves a part of a file under the name that it was given when it fails, so it works in a folder of its own
        beside *path*, which the account must be able to write. Raises WalgSegmentMissing when the storage certainly has
        none, WalgFailed for anything else, after several tries.
        """
        for attempt in range(1, _TRIES + 1):
            try:
                self._fetch_wal_once(name, path, segment_size=segment_size)
            except WalgFailed:
                if attempt == _TRIES:
                    raise
                clock.sleep(2.0**attempt)
            else:
                return

    def _fetch_wal_once(self, name: str, path: str, *, segment_size: int | None) -> None:
        with tempfile.TemporaryDirectory(prefix=".walg-", dir=self._work_folder(path)) as folder:
            if self.account is not None:
                entry = pwd.getpwnam(self.account)
                os.chown(folder, entry.pw_uid, entry.pw_gid)
            temporary = os.path.join(folder, name)
            done = self.call("wal-fetch", name, temporary, environment=_NO_PREFETCH, check=False)
            if done.status == MISSING_STATUS:
                raise WalgSegmentMissing(
                    f"{name} is not in WAL-G's storage {self.settings.prefix}.",
                    hint="Run: wal-g wal-show   to see what is there.",
                    details={"segment": name},
                )
            size = os.path.getsize(temporary) if os.path.isfile(temporary) else 0
            if done.status != 0 or segment_size not in (None, size):
                raise self.failure("wal-fetch", done, extra=f" {name} has {size} bytes.")
            os.replace(temporary, path)

    def _work_folder(self, path: str) -> str:
        """The nearest folder above *path* that the account of the server can enter and that is on its file system."""
        nearest = os.path.dirname(path)
        if self.account is None:
            return nearest
        owner = pwd.getpwnam(self.account).pw_uid
        folder = nearest
        while os.stat(folder).st_uid != owner and not os.path.ismount(folder):
            folder = os.path.dirname(folder)
        return folder if os.stat(folder).st_uid == owner else nearest

    def call(
        self,
        *arguments: str,
        timeout: float = _SHORT,
        environment: t.Mapping[str, str] | None = None,
        check: bool = True,
    ) -> Completed:
        """Run one command. Raises WalgFailed with the last of what it said, CommandTimedOut and ToolMissing."""
        config = ["--config", self.settings.config] if self.settings.config else []
        done = self.runner.run(
            [*run_as(self.account), self.path, *config, *arguments],
            environment={**self.settings.environment, **self.environment, **(environment or {})},
            timeout=timeout,
            check=False,
        )
        if check and done.status != 0:
            raise self.failure(arguments[0], done)
        return done

    def failure(self, command: str, done: Completed, *, extra: str = "") -> WalgFailed:
        """The error for a call that went wrong."""
        lines = [line for line in done.error.decode("utf-8", "replace").splitlines() if line.strip()]
        said = self._clean("\n".join(lines[-6:])) or "(it printed nothing)"
        return WalgFailed(
            f"wal-g {command} ended with status {done.status}.{extra} It said: {said}",
            hint=f"Run it by hand: {self.path} {self._config_words()}{command} ...",
            details={"command": command, "status": done.status},
        )

    def _config_words(self) -> str:
        return f"--config {self.settings.config} " if self.settings.config else ""

    def _clean(self, text: str) -> str:
        """Without values that were given by environment: they may be secret."""
        for name, value in {**self.settings.environment, **self.environment}.items():
            if len(value) > 3 and ("KEY" in name or "SECRET" in name or "PASS" in name or "TOKEN" in name):
                text = text.replace(value, "***")
        return text


def find_walg(
    options: WalgOptions,
    *,
    runner: Runner,
    account: str | None,
    environment: t.Mapping[str, str] | None = None,
    to_remove: bool = False,
) -> WalgProgram:
    """Look at the program and its settings. *to_remove*: it must be able to delete, too.

    Raises ToolMissing, ToolTooOld and WalgConfigurationInvalid.
    """
    path = find_program(options.program)
    homes = [pwd.getpwnam(account).pw_dir] if account is not None else [os.path.expanduser("~")]
    settings = read_settings(options, inherited=os.environ, homes=homes)
    program = WalgProgram(
        path=path, version="", settings=settings, account=account, runner=runner, environment=dict(environment or {})
    )
    version = _version(program)
    if version is not None:
        dotted = ".".join(map(str, version))
        require_version("wal-g", found=version, at_least=_OLDEST, reason="older ones say less about backups.")
        if settings.kind == FILE_PREFIX:
            require_version(
                "wal-g",
                found=version,
                at_least=_OLDEST_FOR_FILES,
                reason="older ones can leave half a file in a storage of files when they die.",
            )
    else:
        dotted = "unknown"
    _require_abilities(program, {**_NEEDED, **_NEEDED_TO_REMOVE} if to_remove else _NEEDED)
    return WalgProgram(
        path=path,
        version=dotted,
        settings=settings,
        account=account,
        runner=runner,
        environment=program.environment,
    )


def _version(program: WalgProgram) -> tuple[int, ...] | None:
    with contextlib.suppress(WalgFailed):
        found = _VERSION.search(program.call("--version", timeout=60).text)
        if found is not None:
            return tuple(int(part) for part in found.groups(default="0"))
    return None


def _require_abilities(program: WalgProgram, needed: t.Mapping[str, tuple[str, ...]]) -> None:
    for command, flags in needed.items():
        done = program.call(command, "--help", timeout=60, check=False)
        lacking = [flag for flag in flags if flag not in done.text] if done.status == 0 else [command]
        if lacking:
            raise ToolTooOld(
                f"{program.path} does not know {' and '.join(lacking)} of wal-g {command}.",
                hint="Install WAL-G 3.0.9 or later, built for PostgreSQL (wal-g-pg).",
                details={"tool": "wal-g", "command": command, "lacking": lacking},
            )
