# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Public keys of OpenSSH as people write them down: one line, a type and base64. Pure."""

from __future__ import annotations

import base64
import binascii
import typing as t
from dataclasses import dataclass

#: What may sign. DSA is broken, and a certificate is no key of its own: it belongs into a file of allowed signers.
TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
)
SHORTEST_RSA = 2048


@dataclass(frozen=True)
class PublicKey:
    """One public key without its comment: two lines of one key are equal."""

    type: str
    data: str

    def __str__(self) -> str:
        return f"{self.type} {self.data}"


def parse_public_key(text: str) -> PublicKey:
    """The key of a line of a ``.pub`` file. Raises ValueError, in words for people, for anything else."""
    if "PRIVATE KEY" in text:
        raise ValueError("that is a private key; take it out at once, and give the line of its .pub file")
    line = text.strip()
    if not line.isprintable():
        raise ValueError("it is not one line of printable characters")
    words = line.split(" ")
    if words[0].endswith(("-cert-v01@openssh.com", "cert-authority")):
        raise ValueError("certificates and their authorities belong into a file, see allowed_signers")
    if words[0] not in TYPES:
        raise ValueError(f"it does not begin with a type of key that may sign: {', '.join(TYPES)}")
    if len(words) < 2:
        raise ValueError("the key behind its type is missing")
    try:
        blob = base64.b64decode(words[1], validate=True)
        parts = list(_parts(blob))
    except (binascii.Error, ValueError, IndexError):
        raise ValueError("the key behind its type is cut short or changed") from None
    if len(parts) < 2 or parts[0] != words[0].encode("ascii"):
        raise ValueError("the key is of another type than its first word says")
    if words[0] == "ssh-rsa" and int.from_bytes(parts[-1], "big").bit_length() < SHORTEST_RSA:
        raise ValueError(f"an RSA key of less than {SHORTEST_RSA} bits is too short")
    return PublicKey(type=words[0], data=base64.b64encode(blob).decode("ascii"))


def _parts(blob: bytes) -> t.Iterator[bytes]:
    place = 0
    while place < len(blob):
        length = int.from_bytes(blob[place : place + 4], "big")
        part = blob[place + 4 : place + 4 + length]
        if len(part) != length or place + 4 > len(blob):
            raise ValueError("cut short")
        yield part
        place += 4 + length
