# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking a resolver for one name, with the time for which it lets the answer be remembered. RFC 1035, over UDP."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import struct
import typing as t
from dataclasses import dataclass

TYPES: t.Mapping[str, int] = {"A": 1, "AAAA": 28, "CNAME": 5}
_RECURSE, _ANSWER, _TRUNCATED, _CODE = 0x0100, 0x8000, 0x0200, 0x000F
_POINTER, _MOST_JUMPS = 0xC0, 32
_WHY: t.Mapping[int, str] = {1: "it does not understand", 2: "it failed", 3: "there is no such name", 5: "it refuses"}


class NoAnswer(Exception):
    """The resolver said nothing of use; the text says why."""


@dataclass(frozen=True)
class Answers:
    """What the name has, in order, and the shortest time in seconds."""

    values: tuple[str, ...]
    ttl: int


def ask_name(name: str, kind: str, *, server: str, port: int = 53, timeout: float = 3.0) -> Answers:
    """Raises NoAnswer, also for a name that has no such record."""
    number = secrets.randbelow(65536)
    question = _encoded(name) + struct.pack("!HH", TYPES[kind], 1)
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as conversation:
            conversation.settimeout(timeout)
            conversation.connect((server, port))
            conversation.send(struct.pack("!HHHHHH", number, _RECURSE, 1, 0, 0, 0) + question)
            data = conversation.recv(65535)
    except OSError as error:
        raise NoAnswer(f"{server} does not answer ({error})") from error
    try:
        return read_answers(data, number=number, kind=kind)
    except (struct.error, IndexError, ValueError) as error:
        raise NoAnswer(f"{server} answers with what is no answer ({error})") from error


def read_answers(data: bytes, *, number: int, kind: str) -> Answers:
    """The records of *kind* in a reply. Raises NoAnswer, and ValueError or its like for bytes that are none."""
    own, flags, questions, answers = struct.unpack("!HHHH", data[:8])
    if own != number or not flags & _ANSWER:
        raise ValueError("it answers another question")
    if flags & _TRUNCATED:
        raise NoAnswer("the answer is too long for one packet")
    if flags & _CODE:
        raise NoAnswer(_WHY.get(flags & _CODE, f"code {flags & _CODE}"))
    place = 12
    for _question in range(questions):
        place = _name(data, place)[1] + 4
    values: list[str] = []
    times: list[int] = []
    for _answer in range(answers):
        place = _name(data, place)[1]
        found, _class, ttl, length = struct.unpack("!HHIH", data[place : place + 10])
        place += 10
        if found == TYPES[kind]:
            values.append(_value(data, place, length, kind=kind))
        if found in (TYPES[kind], TYPES["CNAME"]):
            times.append(ttl)  # each name on the way is remembered for its own time
        place += length
    if not values:
        raise NoAnswer(f"it has no {kind} record")
    return Answers(values=tuple(sorted(values)), ttl=min(times))


def resolvers(path: str = "/etc/resolv.conf") -> list[str]:
    """Those that this host asks."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.split() for line in file]
    except OSError:
        return []
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]


def _encoded(name: str) -> bytes:
    labels = [label.encode("idna") for label in name.rstrip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _name(data: bytes, place: int) -> tuple[str, int]:
    """The name at *place*, and where what follows it begins."""
    labels: list[str] = []
    end: int | None = None
    for _jump in range(_MOST_JUMPS + len(data)):
        length = data[place]
        if length & _POINTER == _POINTER:
            end = place + 2 if end is None else end
            place = struct.unpack("!H", data[place : place + 2])[0] & 0x3FFF
        elif length:
            labels.append(data[place + 1 : place + 1 + length].decode("ascii", "replace"))
            place += 1 + length
        else:
            return ".".join(labels), place + 1 if end is None else end
    raise ValueError("a name that leads to itself")


def _value(data: bytes, place: int, length: int, *, kind: str) -> str:
    if kind == "CNAME":
        return _name(data, place)[0]
    return str(ipaddress.ip_address(data[place : place + length]))
