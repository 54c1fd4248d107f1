# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server holds in memory, on its disk before it is stopped: the way back needs it.

With ``appendonly yes`` it is there already. Else a save is asked for and proved; and since a server without save points
saves nothing when it is stopped, it gets one for its last moments, so that it saves what came after.
"""

from __future__ import annotations

import contextlib
import os

from ..core.durable import fsync_folder
from ..core.errors import RedisCommandUnavailable, RedisPermissionDenied, RedisUnreachable
from ..core.host import Host
from ..core.progress import Progress
from ..recovery.steps import Facts
from .bgsave import BackgroundSave
from .info import read_info
from .moving import aside_name
from .resp import RespClient
from .restore_options import RedisRestoreOptions
from .target import Target

_SAVE_POINT = "3600 1"


def keep_memory(target: Target, *, options: RedisRestoreOptions, restore_id: str, host: Host) -> Facts:
    """Save the memory, and link the last save of before (it may be what was good) under a name of its own.

    Raises RedisSaveFailed, RedisSaveTimedOut and the errors of the connection; then nothing was stopped yet.
    """
    _link_last_save(target, restore_id=restore_id)
    if not target.running or target.append_only:
        return {"saved": False, "save_point": False}
    try:
        client = options.connection.open(runner=host.runner)
    except RedisUnreachable as error:
        if isinstance(error.__cause__, (ConnectionError, FileNotFoundError)):
            return {"saved": False, "save_point": False}  # it has died, or was stopped by the run that died
        raise
    with contextlib.closing(client):
        BackgroundSave(
            client=client,
            clock=host.clock,
            progress=Progress(clock=host.clock),
            timeout=options.timeout,
            # Not that of the first look: the host may have been rebooted before this restore is gone on with.
            run_id=read_info(client, "server").get("run_id", ""),
        ).run()
        return {"saved": True, "save_point": _give_save_point(client, target, host=host)}


def keep_what_came_since(target: Target, *, options: RedisRestoreOptions, host: Host) -> None:
    """To be called before the old data's server is stopped: one that was restarted after :func:`keep_memory` (a reboot
    in the middle of the restore) has forgotten its save point, and would lose what was written since.
    """
    if not target.running or target.append_only:
        return
    try:
        client = options.connection.open(runner=host.runner)
    except RedisUnreachable:
        return  # it is stopped, or about to say so to whoever stops it
    with contextlib.closing(client):
        _give_save_point(client, target, host=host)


def release_memory(target: Target, *, options: RedisRestoreOptions, restore_id: str, host: Host) -> None:
    """Take the save point back, when the server still is the one that got it (a restart has forgotten it), and the
    link, unless it is by now the only name of the last save.
    """
    path, link = target.path(target.rdb_name), target.path(_link_name(target, restore_id))
    with contextlib.suppress(FileNotFoundError):
        if os.path.samefile(path, link):
            os.unlink(link)
        else:
            host.journal.warning(f"What {path} was before the restore is kept as {link}; remove it when it is no use.")
    if not target.running or target.append_only or target.save:
        return
    try:
        client = options.connection.open(runner=host.runner)
    except RedisUnreachable:
        return  # it is stopped: whoever starts it again starts it without our save point
    with contextlib.closing(client), contextlib.suppress(RedisPermissionDenied, RedisCommandUnavailable):
        if client.command("CONFIG", "GET", "save") == [b"save", _SAVE_POINT.encode()]:
            client.command("CONFIG", "SET", "save", "")


def _give_save_point(client: RespClient, target: Target, *, host: Host) -> bool:
    """Let it save when it is stopped, unless it does so anyway; says whether that was changed."""
    if target.save:
        return False
    try:
        client.command("CONFIG", "SET", "save", _SAVE_POINT)
    except (RedisPermissionDenied, RedisCommandUnavailable) as error:
        host.journal.warning(
            f"What is written between the save and the stop is not in the old data that is kept: {error.message}"
        )
        return False
    return True


def _link_name(target: Target, restore_id: str) -> str:
    return aside_name(f"{target.rdb_name}.last-save", restore_id)


def _link_last_save(target: Target, *, restore_id: str) -> None:
    path = target.path(target.rdb_name)
    link = target.path(_link_name(target, restore_id))
    with contextlib.suppress(FileNotFoundError, FileExistsError):
        os.link(path, link)
        fsync_folder(target.directory)
