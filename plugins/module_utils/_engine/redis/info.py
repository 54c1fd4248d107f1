# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What INFO says, as values."""

from __future__ import annotations

import typing as t

from .resp import Reply, RespClient

Keyspace = t.Mapping[str, t.Mapping[str, int]]


class Info(t.Mapping[str, str]):
    """One INFO reply: field to text. A field that this server does not have reads as its default."""

    def __init__(self, reply: Reply) -> None:
        """*reply* is the reply to INFO; anything but bytes counts as empty."""
        text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else ""
        self._modules: list[str] = []
        self._fields: dict[str, str] = {}
        for line in text.splitlines():
            name, colon, value = line.partition(":")
            if not colon or line.startswith("#"):
                continue
            if name == "module":  # the only field that comes several times
                self._modules.append(value)
            self._fields[name] = value

    def __getitem__(self, name: str) -> str:
        return self._fields[name]

    def __iter__(self) -> t.Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def number(self, name: str, default: int = 0) -> int:
        """A field as a whole number; *default* when it is missing or something else."""
        try:
            return int(self._fields.get(name, ""))
        except ValueError:
            return default

    def is_on(self, name: str) -> bool:
        """Whether a field is 1."""
        return self._fields.get(name) == "1"

    @property
    def keyspace(self) -> dict[str, dict[str, int]]:
        """Keys and keys that expire of each database that is not empty: ``{"db0": {"keys": 2, "expires": 1}}``."""
        found = {}
        for name, value in self._fields.items():
            if name.startswith("db") and name[2:].isdigit():
                pairs = dict(pair.split("=", 1) for pair in value.split(",") if "=" in pair)
                found[name] = {"keys": _number(pairs.get("keys")), "expires": _number(pairs.get("expires"))}
        return found

    @property
    def modules(self) -> list[str]:
        """Name and version of each loaded module: ``ReJSON 20609``."""
        named = []
        for value in self._modules:
            pairs = dict(pair.split("=", 1) for pair in value.split(",") if "=" in pair)
            named.append(f"{pairs.get('name', '?')} {pairs.get('ver', '?')}")
        return named

    @property
    def server_seconds(self) -> int | None:
        """The server's own clock in whole seconds since 1970; None before Redis 6.2."""
        micros = self.number("server_time_usec", -1)
        return None if micros < 0 else micros // 1_000_000


def read_info(client: RespClient, *sections: str) -> Info:
    """INFO of one section ("persistence"), or the default ones. Several sections at once need Redis 7."""
    return Info(client.command("INFO", *sections))


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() else 0
