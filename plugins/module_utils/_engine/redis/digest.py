# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's own digest of all keys and values: of the source when it is backed up, and of its restored copy.

``DEBUG DIGEST`` (Redis 2.0) adds up hashes of every key with its value and of whether it expires, not of when: so it
is the same on every server that holds the same, whatever the order. It looks at everything while nobody else is
served, and since Redis 7.0 servers allow it only with ``enable-debug-command`` (redis.conf of 7.0).
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field, replace

from ..core.errors import LifeboatError, RedisCommandFailed
from ..core.runner import Runner
from ..recovery.questions import FAILED, PASSED, SKIPPED, Check
from .connection import RedisConnection
from .info import read_info
from .loadable import ServerVersion
from .noted import Noted

_DIGEST = re.compile(r"[0-9a-f]{40}")


def read_digest(connection: RedisConnection, *, runner: Runner) -> str:
    """Forty hexadecimal digits. Raises the errors of the connection, and RedisCommandFailed for another answer."""
    with contextlib.closing(connection.open(runner=runner)) as client:
        reply = client.command("DEBUG", "DIGEST")
    text = reply.decode("ascii", "replace") if isinstance(reply, bytes) else str(reply)
    if not _DIGEST.fullmatch(text):
        raise RedisCommandFailed(f"{connection.address} answered DEBUG DIGEST with {text[:80]!r}, which is no digest.")
    return text


def digest_settings(server: ServerVersion) -> dict[str, str]:
    """What lets a server of our own be asked; older ones don't know the word and need none."""
    return {"enable-debug-command": "local"} if server.is_multi_part else {}


def compare_digest(noted: Noted, server: ServerVersion, connection: RedisConnection, *, runner: Runner) -> Check:
    """The digest of the copy against that of the source. Raises what read_digest() raises.

    Skipped where nothing can be said: another major version may reckon otherwise, keys have expired.
    """

    def check(state: str, message: str, found: str | None = None) -> Check:
        return Check(name="digest", state=state, message=f"digest: {message}", expected=noted.digest, found=found)

    if (noted.flavour, noted.version[:1]) != (server.flavour, server.version[:1]):
        return check(SKIPPED, f"{server} may reckon it otherwise than {noted.server}")
    found = read_digest(connection, runner=runner)
    if found == noted.digest:
        return check(PASSED, f"{found}, as the source had it", found)
    with contextlib.closing(connection.open(runner=runner)) as client:
        keys = sum(counts["keys"] for counts in read_info(client, "keyspace").keyspace.values())
    if noted.expires and keys < noted.keys:
        return check(SKIPPED, f"{noted.keys - keys} keys have expired since", found)
    return check(FAILED, f"{found}, and the source had {noted.digest}: other keys or values", found)


@dataclass
class SourceDigest:
    """The source's digest before and after its backup; it is that of the backup only where nothing changed meanwhile.

    *timeout* is in seconds, for each of the two. What can't be had is a sentence in *warnings*: no backup fails by it.
    """

    connection: RedisConnection
    runner: Runner
    timeout: float
    warnings: list[str] = field(default_factory=list)
    _before: str | None = None

    def before(self) -> None:
        """Ask, just before the moment of the backup."""
        self._before = self._ask()

    def after(self) -> str | None:
        """Ask again; the digest of the backup, None where there is none to note."""
        if self._before is None:
            return None
        now = self._ask()
        if now == self._before or now is None:
            return now
        self.warnings.append("The data changed while it was backed up, so its digest says nothing and is not noted.")
        return None

    def _ask(self) -> str | None:
        try:
            return read_digest(replace(self.connection, timeout=self.timeout), runner=self.runner)
        except LifeboatError as error:
            more = "" if "DEBUG" not in error.message else " It needs enable-debug-command and the right +debug."
            self.warnings.append(f"The digest of the data can't be noted: {error.message}{more}")
            return None
