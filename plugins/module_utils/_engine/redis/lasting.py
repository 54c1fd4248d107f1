# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Having a server write down what it does by now, so that it does the same after its next start."""

from __future__ import annotations

from ..core.errors import RedisCommandFailed, RedisCommandUnavailable, RedisPermissionDenied
from .resp import RespClient


def write_down(client: RespClient, *command: str) -> str | None:
    """Run *command* (CONFIG REWRITE without one); why it could not be, as a sentence, or None.

    A server without a configuration file, or one that a service has locked, goes on as it is until it is restarted:
    that is for people to know and stops nothing. Raises what a broken connection raises.
    """
    try:
        client.command(*(command or ("CONFIG", "REWRITE")))
    except (RedisCommandFailed, RedisCommandUnavailable, RedisPermissionDenied) as error:
        return error.message
    return None
