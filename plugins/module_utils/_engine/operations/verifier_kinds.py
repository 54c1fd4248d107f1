# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which verifier proves which kind of backup: one static table, beside :mod:`kinds`."""

from __future__ import annotations

import typing as t

from ..catalog.set_members import SET_ENGINE
from ..core.description.kinds import SET_KIND
from ..core.errors import KindNotRunnable
from ..recovery.verifier import VerifierFactory

Options = t.Mapping[str, t.Any]


def _mongodb_full(options: Options) -> VerifierFactory:
    from .verifiers.mongodb import full

    return full(options)


def _postgresql_logical(options: Options) -> VerifierFactory:
    from .verifiers.postgresql_logical import logical

    return logical(options)


def _postgresql_base(options: Options) -> VerifierFactory:
    from .verifiers.postgresql_base import base

    return base(options)


def _postgresql_incremental(options: Options) -> VerifierFactory:
    from .verifiers.postgresql_base import incremental

    return incremental(options)


def _redis_rdb(options: Options) -> VerifierFactory:
    from .verifiers.redis import rdb

    return rdb(options)


def _redis_aof(options: Options) -> VerifierFactory:
    from .verifiers.redis import aof

    return aof(options)


def _files_config(options: Options) -> VerifierFactory:
    from .verifiers.files import config

    return config(options)


def _files_static(options: Options) -> VerifierFactory:
    from .verifiers.files import static

    return static(options)


def _files_app(options: Options) -> VerifierFactory:
    from .verifiers.files import app

    return app(options)


#: Each is imported when it is asked for: whoever works on one database loads no other.
VERIFIERS: t.Mapping[tuple[str, str], t.Callable[[Options], VerifierFactory]] = {
    ("mongodb", "full"): _mongodb_full,
    ("postgresql", "logical"): _postgresql_logical,
    ("postgresql", "base"): _postgresql_base,
    ("postgresql", "incremental"): _postgresql_incremental,
    ("redis", "rdb"): _redis_rdb,
    ("redis", "aof"): _redis_aof,
    ("files", "config"): _files_config,
    ("files", "static"): _files_static,
    ("files", "app"): _files_app,
}


def can_verify(engine: str, kind: str) -> bool:
    """Whether backups of that kind can be verified beyond level 1; sets are, by their members (:mod:`verify_sets`)."""
    return (engine, kind) in VERIFIERS or (engine, kind) == (SET_ENGINE, SET_KIND)


def verifier_factory(engine: str, kind: str) -> t.Callable[[Options], VerifierFactory]:
    """From options to a verifier factory. Raises KindNotRunnable for kinds that this version can't verify."""
    if (engine, kind) not in VERIFIERS:
        raise KindNotRunnable(
            f"Backups of the kind {engine} {kind} can be verified up to level 1 by this version.",
            hint="Ask for level 1.",
        )
    return VERIFIERS[engine, kind]
