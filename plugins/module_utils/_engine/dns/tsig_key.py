# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key that signs changes: a file as ``tsig-keygen`` writes and ``nsupdate -k`` reads it. Never shown."""

from __future__ import annotations

import base64
import binascii
import re
import shlex
from dataclasses import dataclass, field

from ..core.errors import SecretUnavailable

ALGORITHMS = ("hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512")
_KEY = re.compile(r'key\s+"?(?P<name>[^"\s{]+)"?\s*\{(?P<body>[^}]*)\}\s*;', re.DOTALL)
_ALGORITHM = re.compile(r'algorithm\s+"?(?P<value>[A-Za-z0-9.-]+)"?\s*;')
_SECRET = re.compile(r'secret\s+"?(?P<value>[A-Za-z0-9+/=]+)"?\s*;')
# Not within quotes: in every hundredth secret stands "//".
_QUOTED_OR_COMMENT = re.compile(r'(?P<quoted>"[^"\n]*")|/\*.*?\*/|//[^\n]*|#[^\n]*', re.DOTALL)


@dataclass(frozen=True)
class TsigKey:
    """A key. The secret is never shown by repr()."""

    name: str
    algorithm: str
    secret: bytes = field(repr=False)


def read_key(path: str) -> TsigKey:
    """The key in the file. Raises SecretUnavailable that names the file and nothing in it."""
    look = f"Run: ls -l {shlex.quote(path)}   It must be readable by the user who runs this, mode 0600."
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise SecretUnavailable(f"key_file: the file {path} can't be read: {error.strerror}.", hint=look) from error
    except UnicodeDecodeError:
        # The error holds the bytes.
        raise SecretUnavailable(f"key_file: the file {path} is not text.", hint=look) from None
    found = parse_key(text)
    if found is None:
        raise SecretUnavailable(
            f"key_file: in {path} is no key.",
            hint='It holds key "NAME" { algorithm hmac-sha256; secret "..."; }; as tsig-keygen NAME prints it.',
        )
    return found


def parse_key(text: str) -> TsigKey | None:
    """The first key in *text*; None when there is none."""
    key = _KEY.search(_QUOTED_OR_COMMENT.sub(lambda found: found["quoted"] or "", text))
    if key is None:
        return None
    algorithm, secret = _ALGORITHM.search(key["body"]), _SECRET.search(key["body"])
    if algorithm is None or secret is None or algorithm["value"].lower() not in ALGORITHMS:
        return None
    try:
        plain = base64.b64decode(secret["value"], validate=True)
    except (binascii.Error, ValueError):
        return None
    return TsigKey(name=key["name"], algorithm=algorithm["value"].lower(), secret=plain) if plain else None
