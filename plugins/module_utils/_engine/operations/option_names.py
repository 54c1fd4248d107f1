# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which options restorers and verifiers take, by name: for the command line's help and the documentation."""

from __future__ import annotations

import textwrap
import typing as t

from ..files import restore_options as files_restore, verifier_options as files_verify
from ..mongodb import restore_options as mongodb_restore, verifier_options as mongodb_verify
from ..postgresql import base_restore_options, base_verify_options, logical_restore_options
from ..redis import restore_options as redis_restore, verifier_options as redis_verify

_WIDTH = 100

#: Of restores, by engine and kind.
RESTORE_OPTIONS: t.Mapping[tuple[str, str], t.Sequence[str]] = {
    ("mongodb", "full"): mongodb_restore.KEYS,
    ("postgresql", "logical"): ("connection", *logical_restore_options.KEYS),
    ("postgresql", "base"): base_restore_options.KEYS,
    ("postgresql", "incremental"): base_restore_options.KEYS,
    ("redis", "rdb"): redis_restore.RESTORE_KEYS,
    ("redis", "aof"): redis_restore.RESTORE_KEYS,
    ("redis", "aof-log"): redis_restore.RESTORE_KEYS,
    ("files", "config"): files_restore.RESTORE_KEYS,
    ("files", "static"): files_restore.RESTORE_KEYS,
    ("files", "app"): files_restore.RESTORE_KEYS,
}

#: Of verifications, by engine: ``verify: {options: ...}`` of a source.
VERIFY_OPTIONS: t.Mapping[str, t.Sequence[str]] = {
    "mongodb": mongodb_verify.KEYS,
    "postgresql": base_verify_options.KEYS,
    "redis": redis_verify.VERIFIER_KEYS,
    "files": files_verify.VERIFIER_KEYS,
}


def restore_options_text() -> str:
    """The options of restores, kind by kind, as the command line's help shows them."""
    kinds: dict[tuple[str, ...], list[str]] = {}
    for (engine, kind), names in RESTORE_OPTIONS.items():
        kinds.setdefault(tuple(names), []).append(f"{engine} {kind}")
    return _listed({", ".join(of): names for names, of in kinds.items()})


def verify_options_text() -> str:
    """The options of verifications, engine by engine."""
    return _listed(VERIFY_OPTIONS)


def _listed(options: t.Mapping[str, t.Sequence[str]]) -> str:
    lines: list[str] = []
    for of, names in options.items():
        lines.append(f"  {of}:")
        lines += textwrap.wrap(", ".join(names), width=_WIDTH, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)
