# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verification may choose about PostgreSQL, for base backups."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import RequestInvalid
from ..core.options import flag, number, optional_text, refuse_unknown
from .walg_options import PLACE_KEYS, WalgOptions, walg_options

#: Own keys of ``verify.postgresql`` that base backups heed. Those of logical dumps are known, and mean nothing here.
KEYS = (
    "bin_directory",
    "superuser",
    "start_timeout",
    "question_timeout",
    "preload_libraries",
    "amcheck",
    "page_checksums",
    "walg",
)
_LOGICAL_KEYS = ("jobs", "tool")


@dataclass(frozen=True)
class BaseVerifyOptions:
    """How a base backup is proved.

    *bin_directory* holds the server's programs. *superuser* is the role that asks (found out when empty). The timeouts
    are in seconds. *preload_libraries* are loaded at the start although they are the cluster's own: some store data in
    formats that only they can recover. *amcheck* and *page_checksums* look at every page (level 4). *walg* says where
    WAL-G is and its storage, for backups that it made.
    """

    bin_directory: str = ""
    superuser: str = ""
    start_timeout: float = 3600.0
    question_timeout: float = 300.0
    preload_libraries: tuple[str, ...] = ()
    amcheck: bool = True
    page_checksums: bool = True
    walg: WalgOptions | None = None


def base_verify_options(description: t.Mapping[str, t.Any]) -> BaseVerifyOptions:
    """From a description. Raises RequestInvalid for unknown keys and for what can't be."""
    of = "verify.postgresql"
    refuse_unknown(description, known=(*KEYS, *_LOGICAL_KEYS), of=of)
    libraries = description.get("preload_libraries") or []
    if not isinstance(libraries, (list, tuple)) or not all(isinstance(one, str) and one for one in libraries):
        raise RequestInvalid(f"{of}.preload_libraries must be a list of names.", hint="Write: [timescaledb]")
    if "pg_cron" in libraries:
        raise RequestInvalid(
            f"{of}.preload_libraries names pg_cron: the copy would run the jobs of its source.",
            hint="Leave it out; its tables are read without it.",
        )
    return BaseVerifyOptions(
        bin_directory=optional_text(description, "bin_directory", of=of) or "",
        superuser=optional_text(description, "superuser", of=of) or "",
        start_timeout=number(description, "start_timeout", of=of, default=3600.0, at_most=7 * 86400),
        question_timeout=number(description, "question_timeout", of=of, default=300.0, at_most=86400),
        preload_libraries=tuple(libraries),
        amcheck=True if description.get("amcheck") is None else flag(description, "amcheck", of=of),
        page_checksums=True
        if description.get("page_checksums") is None
        else flag(description, "page_checksums", of=of),
        walg=walg_options(description["walg"], keys=PLACE_KEYS) if description.get("walg") is not None else None,
    )
