# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verification of Redis backups may be told."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import RequestInvalid
from ..core.options import number, optional_text, refuse_unknown

VERIFIER_KEYS = ("server_program", "modules", "timeout", "user")
_OF = "redis verification"


@dataclass(frozen=True)
class RedisVerifierOptions:
    """*server_program* is the server to load with, *modules* the paths of modules that it needs.

    *timeout* (seconds) bounds the loading. *user* runs the scratch server when we are root.
    """

    server_program: str | None = None
    modules: tuple[str, ...] = ()
    timeout: float = 3600.0
    user: str | None = None

    @classmethod
    def from_description(cls, description: t.Mapping[str, t.Any]) -> RedisVerifierOptions:
        """The options of a description. Raises RequestInvalid."""
        refuse_unknown(description, known=VERIFIER_KEYS, of=_OF)
        return cls(
            server_program=optional_text(description, "server_program", of=_OF),
            modules=module_paths(description, of=_OF),
            timeout=number(description, "timeout", of=_OF, default=3600.0, at_most=7 * 86400),
            user=optional_text(description, "user", of=_OF),
        )


def module_paths(description: t.Mapping[str, t.Any], *, of: str) -> tuple[str, ...]:
    """The key ``modules``: a list of absolute paths. Raises RequestInvalid."""
    given = description.get("modules") or ()
    if not isinstance(given, (list, tuple)) or not all(isinstance(one, str) and one.startswith("/") for one in given):
        raise RequestInvalid(f"{of}.modules must be a list of absolute paths, such as [/usr/lib/redis/rejson.so].")
    return tuple(given)
