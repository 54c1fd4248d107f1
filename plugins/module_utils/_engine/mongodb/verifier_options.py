# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the verification of a MongoDB dump may be told."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ..core.errors import RequestInvalid
from ..core.options import number, optional_text, refuse_unknown

KEYS = ("mongod", "cache_megabytes", "parallel")
#: Names the program where no option does.
VARIABLE = "LIFEBOAT_MONGOD"
# The server itself takes no less.
_SMALLEST_CACHE = 256


@dataclass(frozen=True)
class MongoVerifierOptions:
    """*mongod* is the program for scratch instances (a path, or a name on PATH), *cache_megabytes* the memory that its
    storage engine may use (None: a part of the verification's memory limit), *parallel* how many threads load.
    """

    mongod: str = "mongod"
    cache_megabytes: int | None = None
    parallel: int = 4

    def cache(self, *, memory_limit: int) -> int:
        """The cache in MiB for a server that is to keep within *memory_limit* bytes: a third, at least 256 MiB.

        What loading and building indexes need comes on top of it.
        """
        if self.cache_megabytes is not None:
            return self.cache_megabytes
        return max(_SMALLEST_CACHE, memory_limit // 3 // (1024 * 1024))


def verifier_options(
    description: t.Mapping[str, t.Any], *, environment: t.Mapping[str, str] | None = None
) -> MongoVerifierOptions:
    """The options of a description; without ``mongod`` there, LIFEBOAT_MONGOD in the environment names the program.

    Raises RequestInvalid for unknown keys and for what can't be.
    """
    of = "verification of mongodb"
    refuse_unknown(description, known=KEYS, of=of)
    environment = os.environ if environment is None else environment
    mongod = optional_text(description, "mongod", of=of) or environment.get(VARIABLE) or "mongod"
    if os.sep in mongod and not os.path.isabs(mongod):
        raise RequestInvalid(
            f"{of}.mongod must be a whole path or a name on PATH, not {mongod!r}.", hint="Write /usr/bin/mongod."
        )
    cache = None
    if description.get("cache_megabytes") is not None:
        cache = int(number(description, "cache_megabytes", of=of, default=_SMALLEST_CACHE, at_most=1_000_000))
        if cache < _SMALLEST_CACHE:
            raise RequestInvalid(f"{of}.cache_megabytes must be at least {_SMALLEST_CACHE}: mongod takes no less.")
    parallel = number(description, "parallel", of=of, default=4, at_most=64)
    if parallel != int(parallel):
        raise RequestInvalid(f"{of}.parallel must be a whole number, not {parallel!r}.")
    return MongoVerifierOptions(mongod=mongod, cache_megabytes=cache, parallel=int(parallel))
