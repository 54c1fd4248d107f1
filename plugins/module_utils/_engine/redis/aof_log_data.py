# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Append-only files out of the pieces of a stream: joined, checked, cut at the second that is wanted, laid out."""

from __future__ import annotations

import os
import typing as t

from ..core.durable import fsync_folder
from ..core.errors import AofInvalid, CommandFailed, ContentMismatch, RecoveryEndedEarly
from ..core.host import Host
from ..core.progress import Progress
from ..recovery.payload_source import PayloadSource
from ..recovery.recovery_planner import SegmentReader
from ..recovery.steps import Facts
from .aof_check import AofChecker, AofFacts
from .aof_commands import CommandWalker
from .aof_log_piece import BASE, Piece
from .aof_manifest import quoted_name
from .aof_unpack import UnpackedAof
from .noted import Noted, NotedFile
from .restored_data import Places
from .staging import Persistence, lay_out_aof, make_anew

_READ = 1024 * 1024
_SET = "append-only"
_CHECK_SECONDS = 24 * 3600.0


class AofLogData:
    """See :class:`restored_data.RestoredData`: what the plan of *reader* names."""

    kind = "aof-log"
    form = "aof"

    def __init__(self, *, reader: SegmentReader, host: Host) -> None:
        self._reader = reader
        self._host = host

    def noted(self, source: PayloadSource | None) -> Noted:
        """See RestoredData. How many keys there will be nobody knows before they are loaded."""
        del source
        facts = self._reader.plan.facts
        server, base = facts["server"], facts["base"]
        rdb = base.get("rdb") or {}
        size = int(base["size"]) + sum(int(length) for _number, length in facts["increments"])
        highest = int(facts["databases"]) - 1
        return Noted(
            flavour=str(server["flavour"]),
            version=tuple(int(part) for part in str(server["version"]).split(".") if part.isdigit()),
            modules=tuple(str(module) for module in server["modules"]),
            keyspace={f"db{highest}": {"keys": 0, "expires": 0}},
            exact=False,
            used_memory=0,
            cluster_node=server["cluster_node"] is True,
            size=size,
            rdb_magic=rdb.get("magic"),
            rdb_version=rdb.get("rdb_version"),
            files=(_noted_file(int(base["increment"]), int(base["size"]), rdb),),
            manifest_path="manifest",
        )

    def stage(
        self,
        source: PayloadSource | None,
        noted: Noted,
        folder: str,
        persistence: Persistence,
        *,
        program: str | None,
        progress: Progress,
    ) -> tuple[Places, Facts]:
        """See RestoredData. Raises what fetching raises, AofInvalid, RdbInvalid and ContentMismatch."""
        del source
        make_anew(folder)
        inner = os.path.join(folder, _SET)
        os.mkdir(inner, 0o700)
        base, increments = self._join(folder, inner, persistence, progress)
        self._check_base(os.path.join(inner, base))
        kept = self._cut(inner, increments)
        manifest = _manifest(base, kept)
        files = {name: AofFacts(size=length, rdb=None) for _number, name, length in kept}
        places = lay_out_aof(folder, UnpackedAof(files=files, manifest=manifest, folder_name=_SET), persistence)
        self._check_by_tool(inner, f"{persistence.append_name}.manifest", program, flavour=noted.flavour)
        for name in os.listdir(inner):
            _sync(os.path.join(inner, name))
        fsync_folder(inner)
        return places, {"lengths": {name: length for _number, name, length in kept}}

    def require_loaded(self, facts: Facts, directory: str, persistence: Persistence) -> None:
        """See RestoredData: a server that finds something wrong at the end of a file cuts that off, and goes on."""
        for name, length in facts.get("lengths", {}).items():
            path = os.path.join(directory, persistence.append_path, name)
            found = os.stat(path).st_size if os.path.exists(path) else 0
            if found < length:
                raise RecoveryEndedEarly(
                    f"The server took {found} bytes of {name}, and {length} were laid out for it.",
                    hint="Its log says why; then recover to an earlier second.",
                    details={"file": name, "found": found, "length": length},
                )

    # --- the parts of stage() ----------------------------------------------------------------------------------------

    def _join(
        self, folder: str, inner: str, persistence: Persistence, progress: Progress
    ) -> tuple[str, list[tuple[int, str]]]:
        """Join the pieces; the name of the base, and numbers and names of the increments in order."""
        base, increments = "", []
        fetched = os.path.join(folder, "piece")
        for stored in self._reader.plan.segments:
            piece = Piece.of(stored.segment)
            number = piece.name.increment
            if piece.name.type == BASE:
                base = name = f"{persistence.append_name}.{number}.base.{'rdb' if piece.rdb else 'aof'}"
            else:
                name = f"{persistence.append_name}.{number}.incr.aof"
                if (number, name) not in increments:
                    increments.append((number, name))
            self._reader.fetch(stored, fetched)
            try:
                _append(os.path.join(inner, name), fetched, piece)
            finally:
                os.unlink(fetched)
            progress.add(done=piece.name.end - piece.name.offset)
        lengths = {int(number): int(length) for number, length in self._reader.plan.facts["increments"]}
        for number, length in lengths.items():
            name = f"{persistence.append_name}.{number}.incr.aof"
            path = os.path.join(inner, name)
            if not length and (number, name) not in increments:
                with open(path, "xb", opener=_private):
                    increments.append((number, name))
            if os.path.getsize(path) != length:
                raise ContentMismatch(
                    f"The pieces of increment {number} make {os.path.getsize(path)} bytes, not {length}.",
                    hint="Plan the recovery again: lifeboat recover ... --dry-run",
                )
        return base, sorted(increments)

    def _check_base(self, path: str) -> None:
        """Its bytes must be the whole of what was captured."""
        noted = self._reader.plan.facts["base"]
        checker = AofChecker(name=os.path.basename(path))
        for data in _read(path):
            checker.feed(data)
        facts = checker.finish(last=False)
        crc64 = None if facts.rdb is None else facts.rdb.crc64
        if facts.size != noted["size"] or crc64 != (noted.get("rdb") or {}).get("crc64"):
            raise ContentMismatch(
                f"The base is another one than the plan names: {facts.size} bytes with the checksum {crc64}.",
                hint="Plan the recovery again: lifeboat recover ... --dry-run",
            )

    def _cut(self, inner: str, increments: t.Sequence[tuple[int, str]]) -> list[tuple[int, str, int]]:
        """Cut before the first annotation that is later than the target, and drop what comes behind."""
        through = self._reader.plan.facts["through"]
        kept: list[tuple[int, str, int]] = []
        cut: int | None = None
        for number, name in increments:
            path = os.path.join(inner, name)
            if cut is not None:
                os.unlink(path)
                continue
            walker = CommandWalker(name=name, through=through)
            for data in _read(path):
                walker.feed(data)
                if walker.cut is not None:
                    break
            cut = walker.cut
            if cut is not None:
                os.truncate(path, cut)
            elif walker.finish().torn:
                raise AofInvalid(
                    f"{name} ends in the middle of a command.",
                    hint="Recover to an earlier second: lifeboat windows",
                    details={"file": name},
                )
            kept.append((number, name, walker.finish().end if cut is None else cut))
        return kept

    def _check_by_tool(self, inner: str, manifest: str, program: str | None, *, flavour: str) -> None:
        """Have the server's own checker read all of it. It is the server's program under another name."""
        if program is None:
            self._host.journal.warning("No server program is here whose checker could read the files before they load.")
            return
        name = f"{flavour}-check-aof"
        checker = os.path.join(os.path.dirname(program), name)
        link = os.path.join(os.path.dirname(inner), name)
        if not os.access(checker, os.X_OK):
            os.symlink(program, link)
            checker = link
        try:
            self._host.runner.run([checker, os.path.join(inner, manifest)], timeout=_CHECK_SECONDS)
        except CommandFailed as error:
            raise AofInvalid(
                f"{name} refuses the files: {error.message}",
                hint="Recover to an earlier second, or from another base: lifeboat windows",
                details=error.details,
            ) from error
        finally:
            if os.path.islink(link):
                os.unlink(link)


def _append(path: str, fetched: str, piece: Piece) -> None:
    """Add a piece behind what is there. What both have must be the same bytes."""
    name = piece.name
    if os.path.getsize(fetched) != name.end - name.offset:
        raise ContentMismatch(
            f"{name} has {os.path.getsize(fetched)} bytes, and its name says otherwise.",
            hint="Look at who could write to the repository.",
        )
    with open(path, "a+b", opener=_private) as output:
        length = output.seek(0, os.SEEK_END)
        if name.offset > length:
            raise AofInvalid(f"The bytes {length} to {name.offset} of {piece.file} are missing.", hint="Plan it again.")
        output.seek(name.offset)
        with open(fetched, "rb") as source:
            both = min(length, name.end) - name.offset
            while both > 0:
                size = min(both, _READ)
                if source.read(size) != output.read(size):
                    raise ContentMismatch(
                        f"{name} has other bytes than the piece before it where both have the same span.",
                        hint="Two histories were mixed: recover to a second before it.",
                    )
                both -= size
            output.seek(0, os.SEEK_END)
            output.writelines(iter(lambda: source.read(_READ), b""))


def _manifest(base: str, kept: t.Sequence[tuple[int, str, int]]) -> bytes:
    first = kept[0][0] if kept else 1
    lines = [b"file " + quoted_name(base) + b" seq %d type b\n" % first]
    lines += [b"file " + quoted_name(name) + b" seq %d type i\n" % number for number, name, _length in kept]
    return b"".join(lines)


def _noted_file(increment: int, size: int, rdb: t.Mapping[str, t.Any]) -> NotedFile:
    return NotedFile(
        path=f"base of increment {increment}",
        length=size,
        commands=None,
        torn=None,
        crc64=rdb.get("crc64"),
        rdb_magic=rdb.get("magic"),
        rdb_version=rdb.get("rdb_version"),
    )


def _read(path: str) -> t.Iterator[bytes]:
    with open(path, "rb") as file:
        yield from iter(lambda: file.read(_READ), b"")


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
