# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One piece of an append-only file as a segment of a stream: its name, and what is known about it.

The increments of a server are numbered without holes, and the end of one is the begin of the next: together they are
the history. A base is what the server held at the begin of an increment; it is stored under that increment's number.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import asdict, dataclass

from ..core.errors import StreamRecordInvalid
from ..streams.segment import Segment

BASE, INCREMENT = "b", "i"
_NAME = re.compile(
    r"(?P<chain>[0-9]{1,12})\.(?P<increment>[0-9]{10})\.(?P<type>[bi])\.(?P<offset>[0-9]{16})-(?P<end>[0-9]{16})"
    r"(?:\.(?P<covered>[0-9]{1,12}))?"
)


@dataclass(frozen=True, order=True)
class PieceName:
    """``1763751600.0000000003.i.0000000000000000-0000000000001234``: in order of commitment.

    *chain* is the second in which the lineage was begun, *increment* a number of the server's, *type* ``b`` or ``i``.
    The piece holds the bytes from *offset* to *end* of its file. One without any bytes says that nothing was written
    until the second *covered*.
    """

    chain: int
    increment: int
    type: str
    offset: int
    end: int
    covered: int = 0

    def __str__(self) -> str:
        name = f"{self.chain}.{self.increment:010d}.{self.type}.{self.offset:016d}-{self.end:016d}"
        return f"{name}.{self.covered}" if self.covered else name

    @classmethod
    def parse(cls, text: str) -> PieceName | None:
        """The name in *text*; None for anything else."""
        found = _NAME.fullmatch(text)
        if found is None:
            return None
        made = cls(
            chain=int(found["chain"]),
            increment=int(found["increment"]),
            type=found["type"],
            offset=int(found["offset"]),
            end=int(found["end"]),
            covered=int(found["covered"] or 0),
        )
        return made if str(made) == text and made.end >= made.offset else None

    @property
    def group(self) -> str:
        """The folder in the repository: one for each generation."""
        return f"{self.increment:010d}"


@dataclass(frozen=True)
class Server:
    """Who wrote the files. *databases* is how many databases have held keys so far, as far as was seen."""

    flavour: str
    version: str
    modules: tuple[str, ...] = ()
    cluster_node: bool = False
    databases: int = 1


@dataclass(frozen=True)
class Piece:
    """What a segment's facts say. Times are seconds since 1970 by the server's clock, None where nobody knows.

    Of an increment: *opening* and *closing* are the seconds of the last annotation before its first and its last byte;
    *first*, *last*, *lowest* and *highest* are annotations inside; *untimed* commands stand before the first of them.
    When it was captured, everything that was written until the end of the second *covered* was in the stream. All of
    its bytes were written later than the second *after*, and not later than *taken*.

    Of a base: *size* is that of the whole file, *created* when it was begun; it holds nothing that was written after
    the second *holds*. *rdb* is what stands in its head, None when it is made of commands. *beside* is the increment
    and the length that was captured last before it: a base is ready only when its increment has been written for a
    while, so it lies between two pieces of that.

    *previous* is the increment before and its length, where it is proven that nothing was written in between; else
    *broken* may say why it is not. *tail* is the SHA-256 of the last bytes of the file up to the end of this piece.
    """

    name: PieceName
    file: str
    server: Server
    opening: int | None = None
    first: int | None = None
    last: int | None = None
    lowest: int | None = None
    highest: int | None = None
    closing: int | None = None
    covered: int | None = None
    after: int | None = None
    taken: int | None = None
    commands: int = 0
    untimed: int = 0
    size: int = 0
    created: int | None = None
    holds: int | None = None
    rdb: t.Mapping[str, t.Any] | None = None
    beside: tuple[int, int] | None = None
    previous: tuple[int, int] | None = None
    broken: str = ""
    tail: str = ""

    @property
    def is_base(self) -> bool:
        """Whether it is of a base."""
        return self.name.type == BASE

    def as_facts(self) -> dict[str, t.Any]:
        """As JSON values: the facts of the segment."""
        document = asdict(self)
        document.pop("name")
        name = self.name
        return {
            "generation": name.increment,
            "type": name.type,
            "offset": name.offset,
            "length": name.end - name.offset,
            **document,
            "beside": list(self.beside) if self.beside else None,
            "previous": list(self.previous) if self.previous else None,
            "server": {**document["server"], "modules": list(self.server.modules)},
        }

    @classmethod
    def of(cls, segment: Segment) -> Piece:
        """The inverse. Raises StreamRecordInvalid for what describes no piece."""
        return cls.from_facts(segment.name, segment.facts)

    @classmethod
    def from_facts(cls, text: str, facts: t.Mapping[str, t.Any]) -> Piece:
        """As :meth:`of`, from a name and its facts."""
        name = PieceName.parse(text)
        try:
            if name is None:
                raise ValueError("its name is none of a piece")
            return _piece(name, _Facts(facts))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise StreamRecordInvalid(
                f"The segment {text[:100]} does not describe a piece of an append-only file: {error}.",
                hint="Look at the copy of its record in another repository of the job.",
                details={"segment": text},
            ) from error


_LARGEST = 1 << 60
_TIMES = (
    *("opening", "first", "last", "lowest", "highest", "closing"),
    *("covered", "after", "taken", "created", "holds"),
)


@dataclass(frozen=True)
class _Facts:
    """Facts as they stand in a record, which others may have written."""

    values: t.Mapping[str, t.Any]

    def time(self, key: str) -> int | None:
        return None if self.values.get(key) is None else self.count(key)

    def count(self, key: str) -> int:
        value = self.values.get(key, 0)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST:
            return value
        raise ValueError(f"{key} is {value!r}")

    def position(self, key: str) -> tuple[int, int] | None:
        value = self.values.get(key)
        if value is None:
            return None
        number, length = value
        return _Facts({key: number}).count(key), _Facts({key: length}).count(key)

    def text(self, key: str) -> str:
        value = self.values.get(key, "")
        if not isinstance(value, str):
            raise TypeError(f"{key} is {value!r}")
        return value


def _piece(name: PieceName, facts: _Facts) -> Piece:
    if (facts.values["type"], facts.count("generation"), facts.count("offset"), facts.count("length")) != (
        name.type,
        name.increment,
        name.offset,
        name.end - name.offset,
    ):
        raise ValueError("name and facts differ")
    server = _Facts(facts.values["server"])
    rdb = facts.values.get("rdb")
    made = Piece(
        name=name,
        file=facts.text("file"),
        server=Server(
            flavour=server.text("flavour") or "redis",
            version=server.text("version"),
            modules=tuple(str(module) for module in server.values.get("modules") or ()),
            cluster_node=server.values.get("cluster_node") is True,
            databases=max(server.count("databases"), 1),
        ),
        **{key: facts.time(key) for key in _TIMES},
        commands=facts.count("commands"),
        untimed=facts.count("untimed"),
        size=facts.count("size"),
        rdb=None if rdb is None else dict(rdb),
        beside=facts.position("beside"),
        previous=facts.position("previous"),
        broken=facts.text("broken"),
        tail=facts.text("tail"),
    )
    annotations = (made.first, made.last, made.lowest, made.highest)
    if None in annotations and annotations != (None, None, None, None):
        raise ValueError("some of its annotations are missing")
    if made.is_base and (made.holds is None or made.created is None or made.size < name.end):
        raise ValueError("it does not say what the base is")
    return made
