# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Passwords and keys of the sandbox: made once, kept in files that only their owner can read."""

from __future__ import annotations

import json
import secrets
import subprocess
import typing as t
from dataclasses import asdict, dataclass

from ..files import replace_file
from ..parts import AGE, find_age_keygen, require
from ..s3 import S3Identity

if t.TYPE_CHECKING:
    from pathlib import Path

# For s3.env: these rights and no more are what a backup job needs, but restores and retention are demonstrated, too.
_NAMES = (
    "postgresql_superuser",
    "postgresql_lifeboat",
    "mongodb_root",
    "mongodb_backup",
    "redis_default",
    "redis_lifeboat",
    "s3_access_key",
    "s3_secret_key",
)


@dataclass(frozen=True)
class Secrets:
    """All passwords of one sandbox."""

    postgresql_superuser: str
    postgresql_lifeboat: str
    mongodb_root: str
    mongodb_backup: str
    redis_default: str
    redis_lifeboat: str
    s3_access_key: str
    s3_secret_key: str

    @classmethod
    def load_or_make(cls, directory: Path) -> Secrets:
        """Read them, or make and write them when the sandbox is new."""
        path = directory / "secrets.json"
        if path.exists():
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        made = cls(**{name: secrets.token_hex(16) for name in _NAMES})
        replace_file(path, json.dumps(asdict(made), indent=1))
        return made

    @property
    def s3_administrator(self) -> S3Identity:
        return S3Identity.administrator(access_key=self.s3_access_key, secret_key=self.s3_secret_key)


def age_key_pair(directory: Path) -> tuple[str, Path]:
    """(recipient, file with the identity): made by age-keygen the first time."""
    keygen = require(find_age_keygen(), AGE)
    identity = directory / "age-identity.txt"
    if not identity.exists():
        made = subprocess.run([keygen], capture_output=True, text=True, check=True, timeout=30).stdout
        replace_file(identity, made)
    recipient = subprocess.run([keygen, "-y", identity], capture_output=True, text=True, check=True, timeout=30)
    return recipient.stdout.strip(), identity
