# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preparing a host whose PostgreSQL is to fill a spool: the folder, the script, and the words for its configuration."""

from __future__ import annotations

import os
import pwd
import typing as t
from dataclasses import dataclass

from ..core.acting import server_account
from ..core.durable import fsync_folder
from ..core.errors import RequestInvalid, StreamSpoolUnusable
from ..postgresql.prepare_needs import DEFAULT_SCRIPT, archive_settings
from ..postgresql.wal_archive_script import write_archive_script
from .ship_values import ShipRequest


@dataclass(frozen=True)
class PreparedSpool:
    """*changed* names what was made or written anew; *settings* are those that the server needs, in order."""

    job: str
    spool: str
    script: str
    owner: str
    changed: tuple[str, ...]
    settings: t.Mapping[str, str]

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "job": self.job,
            "spool": self.spool,
            "script": self.script,
            "owner": self.owner,
            "changed": list(self.changed),
            "settings": dict(self.settings),
        }


def prepare_spool(request: ShipRequest, *, script: str, owner: str) -> PreparedSpool:
    """Make the spool for *owner*, the account of the server, and put the script there; again without harm.

    The server's own configuration is not touched. Raises RequestInvalid for streams whose spool nobody else fills and
    for accounts that there are not, and StreamSpoolUnusable.
    """
    if not request.kind.filled_by_server:
        raise RequestInvalid(
            f"Nothing is to be prepared for {request.job}: shipping fills its spool itself.",
            hint=f"Run: lifeboat ship {request.job}",
        )
    if not os.path.isabs(script):
        raise RequestInvalid(f"The script {script!r} must be an absolute path.", hint=f"--script {DEFAULT_SCRIPT}")
    account = server_account(owner, option="--owner NAME")
    changed = []
    try:
        if _make_spool(request.spool_directory, account):
            changed.append(request.spool_directory)
        _make_way(os.path.dirname(script))
        if write_archive_script(script):
            changed.append(script)
    except OSError as error:
        raise StreamSpoolUnusable(
            f"{error.filename or request.spool_directory} can't be made: {error.strerror}.",
            hint="Run it as root, on the host of the server.",
            details={"path": str(error.filename)},
        ) from error
    return PreparedSpool(
        job=request.job,
        spool=request.spool_directory,
        script=script,
        owner=owner,
        changed=tuple(changed),
        settings=archive_settings(
            script=script, spool=request.spool_directory, timeout=request.options.get("archive_timeout")
        ),
    )


def _make_spool(path: str, account: pwd.struct_passwd) -> bool:
    is_new = not os.path.isdir(path)
    _make_way(os.path.dirname(path))
    if is_new:
        os.mkdir(path, 0o700)
    found = os.stat(path)
    if (found.st_uid, found.st_gid) != (account.pw_uid, account.pw_gid):
        os.chown(path, account.pw_uid, account.pw_gid)
    fsync_folder(os.path.dirname(path))
    return is_new


def _make_way(path: str) -> None:
    """Make the folders that are not there, so that the server's account gets through whatever the umask is."""
    if os.path.isdir(path):
        return
    _make_way(os.path.dirname(path))
    os.mkdir(path)
    os.chmod(path, 0o755)  # noqa: S103  the server's account must get through
    fsync_folder(os.path.dirname(path))
