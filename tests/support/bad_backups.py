# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every class of bad backup, for every kind that it can happen to, with the lowest level that promises to catch it.

tests/integration/test_bad_backups.py makes each of them and proves the level; tools/verification_table.py writes the
table of docs/verification.md from this very list.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
import subprocess
import tarfile
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.questions import (
    Question,
    question_from,
)
from tests.support import mutations_mongodb as mongodb, mutations_tar as tars, resealing

#: Found while the catalog is read, before any level: it is not listed as a backup, and named as a problem.
CATALOG = -1
MONGODB, LOGICAL, BASE, RDB, AOF = "MongoDB full", "PostgreSQL logical", "PostgreSQL base", "Redis rdb", "Redis aof"
KINDS = (MONGODB, LOGICAL, BASE, RDB, AOF)
#: The name of the one payload that is altered, without what compression and encryption add.
PAYLOADS = {MONGODB: "dump.archive", LOGICAL: "shop.dump", BASE: "base.tar", RDB: "dump.rdb", AOF: "appendonly.tar"}
#: The class, as the page calls it, with what it means there.
CLASSES = {
    "truncated": "the stored payload is shorter than it was",
    "bit flipped": "one bit of the stored payload is another one",
    "bit flipped in the manifest": "",
    "manifest without payload": "",
    "payload without manifest": "never shown as a backup",
    "manifest of another format version": "refused by name; what to upgrade is said",
    "manifest naming a path outside": "a payload called `../…`",
    "wrong key": "the private key is another one",
    "decompression bomb": "a few kilobytes that become hundreds of megabytes",
    "truncated, sealed": "the dump ended early, and everything about it was noted as it came out",
    "bit flipped, sealed": "",
    "zeroed page, sealed": "",
    "dropped segment, sealed": "a piece is missing in the middle",
    "payloads swapped": "those of two backups, both sealed",
    "stale under a new name": "yesterday's backup, filed as today's",
    "wrong database": "a dump of another database, server or cluster",
    "empty dump": "",
    "missing collection": "a collection, table or file",
    "missing index": "",
    "half the rows": "every second row or key",
    "hostile member": "an archive whose member or link leads outside",
    "not loadable": "reads well from end to end, and no server takes it",
    "lost at the source": "the backup is right, and what it was made of was not",
    "page with a wrong checksum": "all lists agree, only the page itself tells",
}


@dataclass
class Copy:
    """A repository that may be spoilt: *kind* says of which backup; others of the kind are found by their source."""

    repository: Path
    kind: str
    folders: t.Mapping[tuple[str, str], BackupFolder]
    questions: list[Question] = field(default_factory=list)
    wrong_key: bool = False
    victim: BackupFolder | None = None

    @property
    def place(self) -> BackupFolder:
        """The backup that is made bad."""
        return self.victim or self.folders[self.kind, "main"]

    @property
    def payload(self) -> str:
        """Its payload, by its plain name."""
        return PAYLOADS[self.kind]

    @property
    def stored(self) -> Path:
        """The stored bytes of its payload."""
        return resealing.payload_path(self.repository, self.place, self.payload)

    @property
    def manifest(self) -> Path:
        """The stored manifest."""
        return resealing.folder_path(self.repository, self.place) / "manifest.json"

    def alter(self, change: t.Callable[[bytes], bytes]) -> None:
        """Alter the plain bytes; sizes and hashes are right again."""
        resealing.mutate_payload(self.repository, self.place, self.payload, change)

    def plain(self, source: str) -> bytes:
        """The plain bytes of another backup of the kind."""
        return resealing.plain_bytes(self.repository, self.folders[self.kind, source], self.payload)

    def note(self, change: t.Callable[[dict[str, t.Any]], t.Any]) -> None:
        """Change what the manifest says; its checksum is right again."""
        resealing.mutate_manifest(self.repository, self.place, change)


Spoil = t.Callable[[Copy], t.Any]


@dataclass(frozen=True)
class Case:
    """One class of bad backup of one kind; *level* promises to catch it, and every level below lets it pass."""

    title: str
    kind: str
    level: int
    spoil: Spoil
    asks: bool = False  # whether only a question that somebody thought of can tell

    def __str__(self) -> str:
        return f"{self.kind}: {self.title}".replace(" ", "-")


# --- of every kind ----------------------------------------------------------------------------------------------------


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def _zeroed(data: bytes) -> bytes:
    start = len(data) // 3
    size = min(4096, len(data) // 3)
    return data[:start] + bytes(size) + data[start + size :]


def _dropped(data: bytes) -> bytes:
    start = len(data) // 3
    return data[:start] + data[start + min(4096, len(data) // 3) :]


def _rewrite(path: t.Callable[[Copy], Path], change: t.Callable[[bytes], bytes]) -> Spoil:
    def spoil(copy: Copy) -> None:
        path(copy).write_bytes(change(path(copy).read_bytes()))

    return spoil


def _bomb(copy: Copy) -> None:
    data = subprocess.run(
        ["sh", "-c", "head -c 300000000 /dev/zero | zstd -q -1 -c"], capture_output=True, check=True
    ).stdout
    size = len(copy.plain("main"))
    resealing.replace_stored(copy.repository, copy.place, copy.payload, data, plain_size=size)


def _another_format(copy: Copy) -> None:
    copy.note(lambda document: document.update(format_version=document["format_version"] + 1))


def _path_outside(copy: Copy) -> None:
    copy.note(lambda document: document["payloads"][0].update(name="../../../evil"))


def _wrong_key(copy: Copy) -> None:
    copy.victim = copy.folders[copy.kind, "encrypted"]
    copy.wrong_key = True


def _swapped(copy: Copy) -> None:
    resealing.swap_payloads(
        copy.repository,
        (copy.folders[copy.kind, "main"], copy.payload),
        (copy.folders[copy.kind, "second"], copy.payload),
    )


def _stale(copy: Copy) -> None:
    """The backup of before, with everything noted of it, under the id of a day that is long after."""
    old = copy.place
    copy.victim = BackupFolder(series=old.series, backup_id="20371231T000000Z-abcdef")
    shutil.copytree(resealing.folder_path(copy.repository, old), resealing.folder_path(copy.repository, copy.place))

    def rename(document: dict[str, t.Any]) -> None:
        document["id"] = copy.place.backup_id
        document["started"], document["finished"] = "2037-12-31T00:00:00Z", "2037-12-31T00:00:09Z"

    copy.note(rename)


def _stale_and_asked(copy: Copy) -> None:
    """Append-only files carry no date, so the question must be about something that is new."""
    copy.questions.append(question_from({"name": "asked", "redis": ["GET", "second"], "equals": "second"}))
    _stale(copy)


def _from(source: str) -> Spoil:
    """The payload of another backup in its place."""
    return lambda copy: copy.alter(lambda _data: copy.plain(source))


def _of_each_kind() -> t.Iterator[Case]:
    for kind in KINDS:
        yield Case("truncated", kind, 0, _rewrite(lambda copy: copy.stored, lambda data: data[: len(data) // 2]))
        yield Case("bit flipped", kind, 1, _rewrite(lambda copy: copy.stored, _flipped))
        yield Case("bit flipped in the manifest", kind, CATALOG, _rewrite(lambda copy: copy.manifest, _flipped))
        yield Case("manifest without payload", kind, 0, lambda copy: copy.stored.unlink())
        yield Case("payload without manifest", kind, CATALOG, lambda copy: copy.manifest.unlink())
        yield Case("manifest of another format version", kind, CATALOG, _another_format)
        yield Case("manifest naming a path outside", kind, CATALOG, _path_outside)
        yield Case("wrong key", kind, 2, _wrong_key)
        yield Case("decompression bomb", kind, 2, _bomb)
        yield Case("truncated, sealed", kind, 2, lambda copy: copy.alter(lambda data: data[: len(data) // 2]))
        # Dumps of the same database within two minutes have the same names and dates: only their rows differ.
        yield Case("payloads swapped", kind, 4 if kind == LOGICAL else 2, _swapped)
        if kind == AOF:
            yield Case("stale under a new name", kind, 4, _stale_and_asked, asks=True)
        else:
            yield Case("stale under a new name", kind, 2, _stale)


# --- of one engine ----------------------------------------------------------------------------------------------------


def _mongodb() -> t.Iterator[Case]:
    people = ("shop", "people")

    def altered(
        title: str, level: int, change: t.Callable[[bytes], bytes], *, noted: bool = False, **ask: t.Any
    ) -> Case:
        def spoil(copy: Copy) -> None:
            copy.alter(change)
            if noted:
                copy.note(functools.partial(mongodb.note_what_is_there, archive=copy.plain("main")))
            if ask:
                copy.questions.append(question_from({"name": "asked", **ask}))

        return Case(title, MONGODB, level, spoil, asks=bool(ask))

    yield altered("bit flipped, sealed", 2, mongodb.bit_flipped)
    yield altered("zeroed page, sealed", 2, mongodb.page_zeroed)
    yield altered("dropped segment, sealed", 2, mongodb.segment_dropped)
    yield altered("wrong database", 2, mongodb.of_another_database)
    yield altered("empty dump", 2, mongodb.empty)
    yield altered("missing collection", 2, functools.partial(mongodb.without_collection, name=people))
    yield altered("missing index", 2, functools.partial(mongodb.without_index, of=people, index="by name"))
    yield altered("half the rows", 2, functools.partial(mongodb.half_the_rows, of=people))
    yield altered("not loadable", 3, functools.partial(mongodb.value_repeated, of=people), noted=True)
    yield altered(
        "lost at the source",
        4,
        functools.partial(mongodb.half_the_rows, of=people),
        noted=True,
        count={"database": "shop", "collection": "people"},
        min=200,
    )


def _logical() -> t.Iterator[Case]:
    def ask(copy: Copy, sql: str) -> None:
        copy.questions.append(question_from({"name": "asked", "database": "shop", "sql": sql, "equals": 300}))

    def value(copy: Copy) -> None:
        """A dump has no checksums of its own: another letter in a name is as good a name."""
        ask(copy, "select count(*) from people where name = md5(id::text)")
        name = hashlib.md5(b"150", usedforsecurity=False).hexdigest().encode()
        copy.alter(lambda data: data.replace(name, bytes([name[0] ^ 1]) + name[1:]))

    def zeroed(copy: Copy) -> None:
        """A length of zero is how a dump says that a table ends: pg_restore is content, but leaves what follows."""

        def zero(data: bytes) -> bytes:
            at = data.index(b"100\t" + hashlib.md5(b"100", usedforsecurity=False).hexdigest().encode()) - 5
            return data[:at] + bytes(4096) + data[at + 4096 :]

        copy.alter(zero)

    def other(copy: Copy) -> None:
        wrong = resealing.plain_bytes(copy.repository, copy.folders[LOGICAL, "other"], "other.dump")
        copy.alter(lambda _data: wrong)

    def itself(source: str) -> Spoil:
        def spoil(copy: Copy) -> None:
            copy.victim = copy.folders[LOGICAL, source]
            ask(copy, "select count(*) from people")

        return spoil

    def hostile(copy: Copy) -> None:
        copy.victim = copy.folders[LOGICAL, "directory"]
        resealing.mutate_payload(
            copy.repository,
            copy.place,
            "shop.directory.tar",
            functools.partial(tars.with_member, name="../outside", size=1),
        )

    yield Case("hostile member", LOGICAL, 2, hostile)
    yield Case("bit flipped, sealed", LOGICAL, 4, value, asks=True)
    yield Case("zeroed page, sealed", LOGICAL, 2, zeroed)
    yield Case("dropped segment, sealed", LOGICAL, 2, functools.partial(_alter, change=_dropped))
    yield Case("wrong database", LOGICAL, 2, other)
    yield Case("missing collection", LOGICAL, 2, _from("no-table"))
    yield Case("empty dump", LOGICAL, 4, _from("empty"))
    yield Case("missing index", LOGICAL, 4, _from("no-index"))
    yield Case("half the rows", LOGICAL, 4, _from("half"))
    yield Case("not loadable", LOGICAL, 3, itself("unloadable"))
    yield Case("lost at the source", LOGICAL, 4, itself("half"), asks=True)


def _alter(copy: Copy, *, change: t.Callable[[bytes], bytes]) -> None:
    copy.alter(change)


def _base() -> t.Iterator[Case]:
    def altered(title: str, level: int, change: t.Callable[[bytes], bytes]) -> Case:
        return Case(title, BASE, level, functools.partial(_alter, change=change))

    def page(copy: Copy) -> None:
        path = copy.folders[BASE, "main"]
        noted = (resealing.folder_path(copy.repository, path) / "page-of").read_text(encoding="utf-8")
        copy.alter(functools.partial(tars.sealed_inside, path=noted, change=tars.page_flipped))

    def ask(copy: Copy) -> None:
        copy.victim = copy.folders[BASE, "second"]
        rows = {"name": "asked", "database": "postgres", "sql": "select count(*) from people", "min": 200}
        copy.questions.append(question_from(rows))

    yield altered("bit flipped, sealed", 2, functools.partial(tars.with_files, change=tars.flipped_table))
    yield altered("zeroed page, sealed", 2, functools.partial(tars.with_files, change=tars.zeroed_page))
    yield altered("dropped segment, sealed", 2, functools.partial(tars.with_files, change=tars.without_wal))
    yield Case("wrong database", BASE, 2, _from("other"))
    yield altered("empty dump", 2, lambda _data: bytes(10240))
    yield altered("missing collection", 2, functools.partial(tars.with_files, change=tars.without_table))
    yield altered("hostile member", 2, functools.partial(tars.with_member, name="../outside", size=1))
    yield altered("not loadable", 3, functools.partial(tars.with_files, change=tars.wal_not_replayable))
    yield Case("page with a wrong checksum", BASE, 4, page)
    yield Case("lost at the source", BASE, 4, ask, asks=True)


def _redis() -> t.Iterator[Case]:
    def ask(copy: Copy) -> None:
        copy.victim = copy.folders[copy.kind, "half"]
        copy.questions.append(question_from({"name": "asked", "redis": ["DBSIZE"], "min": 300}))

    for kind in (RDB, AOF):
        changes = {"bit flipped, sealed": _flipped, "zeroed page, sealed": _zeroed, "dropped segment, sealed": _dropped}
        for title, change in changes.items():
            altered = change if kind == RDB else functools.partial(tars.in_first_file, change=change)
            yield Case(title, kind, 2, functools.partial(_alter, change=altered))
        for title, source in {"wrong database": "other", "empty dump": "empty", "half the rows": "half"}.items():
            yield Case(title, kind, 2, _from(source))
        yield Case("lost at the source", kind, 4, ask, asks=True)
    yield Case(
        "hostile member", AOF, 2, functools.partial(_alter, change=functools.partial(tars.with_member, name="../evil"))
    )
    link = functools.partial(tars.with_member, name="appendonlydir/link", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    yield Case("hostile member", AOF, 2, functools.partial(_alter, change=link))
    yield Case("not loadable", RDB, 3, _unloadable_rdb)
    yield Case("not loadable", AOF, 3, _unloadable_aof)


def _unloadable_rdb(copy: Copy) -> None:
    """As a server with ``rdbchecksum no`` may leave it: nothing says that a value is damaged but the value."""
    data = bytearray(copy.plain("main"))
    at = data.index(b"\x06text:1") - 1
    data[at] = 0x7F  # a type of value that there is not
    data[-8:] = bytes(8)
    copy.alter(lambda _data: bytes(data))

    def forget(document: dict[str, t.Any]) -> None:
        for name in ("crc64", "rdb_size"):
            document["content"].pop(name, None)

    copy.note(forget)


def _unloadable_aof(copy: Copy) -> None:
    """The last command is one that no server knows: a module's, that wasn't noted."""
    command = b"*1\r\n$6\r\nNOSUCH\r\n"

    def append(name: str, content: bytes) -> bytes:
        return content + command if name.endswith(".incr.aof") else content

    def note(document: dict[str, t.Any]) -> None:
        for entry in document["content"]["files"]:
            if entry["name"].endswith(".incr.aof"):
                entry["length"] += len(command)
                entry["size"] += len(command)
                entry["commands"] += 1

    copy.alter(functools.partial(tars.with_files, change=append))
    copy.note(note)


CASES: tuple[Case, ...] = (*_of_each_kind(), *_mongodb(), *_logical(), *_base(), *_redis())


def table() -> str:
    """The table of the page: the level that catches each class, by kind."""
    cells = {(case.title, case.kind): _cell(case) for case in CASES}
    lines = [f"| class | {' | '.join(KINDS)} |", f"|---|{'---|' * len(KINDS)}"]
    for title, meaning in CLASSES.items():
        row = " | ".join(cells.get((title, kind), "–") for kind in KINDS)
        lines.append(f"| {title}{f': {meaning}' if meaning else ''} | {row} |")
    return "\n".join(lines) + "\n"


def _cell(case: Case) -> str:
    if case.level == CATALOG:
        return "on listing"
    return f"{case.level}, if asked" if case.asks else str(case.level)
