# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compression and encryption: the processes ``zstd`` and ``age``, and how their outputs are called and undone."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ..core.errors import CommandFailed, RecipientInvalid, RequestInvalid
from ..core.runner import Runner, find_program

_LOWEST_LEVEL, _HIGHEST_LEVEL = 1, 19


@dataclass(frozen=True)
class Compression:
    """zstd with a *level* (1 fast .. 19 small) and *threads* (0: one per core).

    Level 1 is the default: on database dumps it is about five times faster than gzip -6 and smaller.
    """

    level: int = 1
    threads: int = 0

    name: t.ClassVar[str] = "zstd"
    suffix: t.ClassVar[str] = ".zst"
    undo: t.ClassVar[str] = "zstd -dc"

    def argv(self) -> list[str]:
        """The process; -vv makes it print the exact number of bytes read on standard error at its end."""
        return ["zstd", f"-{self.level}", f"-T{self.threads}", "-vv", "--no-progress", "-c"]

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values, the form in the manifest."""
        return {"method": self.name, "level": self.level}


@dataclass(frozen=True)
class Encryption:
    """age to one or more *recipients* (public keys): this host can write, only the holders of the keys can read."""

    recipients: tuple[str, ...]

    name: t.ClassVar[str] = "age"
    suffix: t.ClassVar[str] = ".age"
    undo: t.ClassVar[str] = 'age -d -i "$AGE_IDENTITY"'

    def argv(self) -> list[str]:
        """The process. Recipients are public keys, so they may stand in the argument list."""
        return ["age", "-e", *(part for recipient in self.recipients for part in ("-r", recipient))]

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values, the form in the manifest."""
        return {"method": self.name, "recipients": list(self.recipients)}


Transform = t.Union[Compression, Encryption]


@dataclass(frozen=True)
class Transforms:
    """What happens to every payload of a backup, in this order: compress, then encrypt; each may be absent."""

    compression: Compression | None = field(default_factory=Compression)
    encryption: Encryption | None = None

    def for_payload(self, *, compressed: bool) -> tuple[Transform, ...]:
        """The transforms of one payload; one that is *compressed* already is not compressed again."""
        chain: list[Transform] = []
        if self.compression is not None and not compressed:
            chain.append(self.compression)
        if self.encryption is not None:
            chain.append(self.encryption)
        return tuple(chain)

    def check(self, *, runner: Runner) -> None:
        """Prove that the programs are there and age takes the recipients. Raises ToolMissing, RecipientInvalid."""
        if self.compression is not None:
            find_program("zstd")
        if self.encryption is None:
            return
        find_program("age")
        try:
            runner.run(self.encryption.argv(), timeout=20)
        except CommandFailed as error:
            raise RecipientInvalid(
                f"age does not accept the recipients: {error.message}",
                hint="A recipient is the line after 'public key:' that age-keygen prints; it begins with age1.",
                details={"recipients": list(self.encryption.recipients)},
            ) from error


def transforms_from(
    *, compression: t.Mapping[str, t.Any] | None = None, encryption: t.Mapping[str, t.Any] | None = None
) -> Transforms:
    """Transforms from the description's ``compression`` and ``encryption`` mappings.

    ``compression: {method: zstd|none, level: 1, threads: 0}``, ``encryption: {recipients: [age1...],
    recipients_file: PATH}``. Raises RequestInvalid for unknown keys, methods, levels and empty recipients.
    """
    return Transforms(compression=_compression_from(compression or {}), encryption=_encryption_from(encryption or {}))


def _compression_from(description: t.Mapping[str, t.Any]) -> Compression | None:
    _refuse_unknown("compression", description, ("method", "level", "threads"))
    method = description.get("method") or "zstd"
    if method == "none":
        return None
    if method != "zstd":
        raise RequestInvalid(f"compression: the method {method!r} is unknown.", hint="Use zstd or none.")
    chosen = Compression(
        level=_whole(description, "level", default=Compression.level),
        threads=_whole(description, "threads", default=Compression.threads),
    )
    if not _LOWEST_LEVEL <= chosen.level <= _HIGHEST_LEVEL or chosen.threads < 0:
        raise RequestInvalid(
            f"compression: level {chosen.level} with {chosen.threads} threads is out of range.",
            hint=f"Levels go from {_LOWEST_LEVEL} to {_HIGHEST_LEVEL}; threads from 0 (one per core).",
        )
    return chosen


def _whole(description: t.Mapping[str, t.Any], key: str, *, default: int) -> int:
    value = description.get(key)
    if value is None:
        return default
    # Digits in a text will do: that is what templates make of numbers.
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,4}", str(value)):
        raise RequestInvalid(
            f"compression: {key} is {value!r}, not a whole number.",
            hint=f"Levels go from {_LOWEST_LEVEL} to {_HIGHEST_LEVEL}; threads from 0 (one per core).",
        )
    return int(value)


def _encryption_from(description: t.Mapping[str, t.Any]) -> Encryption | None:
    _refuse_unknown("encryption", description, ("recipients", "recipients_file"))
    given = description.get("recipients")
    if given is not None and (not isinstance(given, (list, tuple)) or not all(given)):
        raise RequestInvalid(
            "encryption: recipients must be a list of public keys.", hint="Write recipients: [age1..., age1...]"
        )
    recipients = [str(recipient) for recipient in given or ()]
    path = description.get("recipients_file")
    if path:
        try:
            with open(path, encoding="utf-8") as file:
                lines = [line.strip() for line in file]
        except OSError as error:
            raise RequestInvalid(
                f"encryption: the recipients file {path} can't be read: {error.strerror}.", hint=f"Run: ls -l {path}"
            ) from error
        except UnicodeDecodeError as error:
            raise RequestInvalid(
                f"encryption: the recipients file {path} is not text.",
                hint="One public key a line, beginning with age1.",
            ) from error
        recipients += [line for line in lines if line and not line.startswith("#")]
    if not description or (not recipients and not path and not description.get("recipients")):
        if "recipients" in description and description["recipients"] is not None:
            raise RequestInvalid(
                "encryption: the list of recipients is empty.",
                hint="Give at least one public key (age-keygen prints it), or leave encryption out.",
            )
        return None
    if not recipients:
        raise RequestInvalid(
            f"encryption: {path} holds no recipient.", hint="One public key a line, beginning with age1."
        )
    for recipient in recipients:
        if re.match(r"AGE-SECRET-KEY-", recipient, re.IGNORECASE):
            raise RecipientInvalid(
                "encryption: a recipient is a SECRET key; it must never be on the host that makes backups.",
                hint="Give the public key: age-keygen -y IDENTITY_FILE prints it. Treat the secret one as exposed.",
            )
    return Encryption(recipients=tuple(recipients))


def _refuse_unknown(name: str, description: t.Mapping[str, t.Any], known: t.Sequence[str]) -> None:
    unknown = sorted(set(description) - set(known))
    if unknown:
        raise RequestInvalid(f"{name}: unknown key {', '.join(unknown)}.", hint=f"Known keys: {', '.join(known)}.")
