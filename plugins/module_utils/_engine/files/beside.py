# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup into an empty folder: nothing that exists is touched."""

from __future__ import annotations

import os
import shlex
import shutil
import typing as t

from ..core.durable import fsync_folder
from ..core.errors import RestoreTargetInvalid
from ..core.progress import Progress
from ..pipeline.delivery import PayloadOutput
from ..recovery.payload_source import PayloadSource
from ..recovery.restorer import Restoration, RestoreInspection, RestorerContext
from ..recovery.scratch import free_bytes
from ..recovery.steps import Facts, Step
from .listing import read_listing
from .names import RESTORE_PREFIX
from .noted import noted_in
from .parts import Parts, fetched_list, needed_parts
from .restore_notes import FILES_PAYLOAD
from .restore_options import FilesRestoreOptions
from .static_options import STATIC
from .unpacking import Unpacker
from .unpacking_parts import unpack_parts

_FOLDER, _UNPACK, _PLACE = "folder", "unpack", "place"


class BesideRestorer:
    """See :class:`recovery.restorer.Restorer`."""

    engine = "files"

    def __init__(self, *, kind: str, options: FilesRestoreOptions, context: RestorerContext) -> None:
        self.kind = kind
        self._options = options
        self._host = context.host
        self._chain = context.chain
        self._folder = options.data_directory
        self._staging = os.path.join(self._folder, f"{RESTORE_PREFIX}{context.restore_id}")

    @property
    def target(self) -> str:
        """The folder."""
        return self._folder

    def inspect(self, *, source: PayloadSource) -> RestoreInspection:
        """See Restorer. Raises RestoreTargetInvalid when the folder is in use."""
        noted = noted_in(source.manifest)
        source.require_key()
        if os.path.lexists(self._folder) and (not os.path.isdir(self._folder) or os.listdir(self._folder)):
            raise RestoreTargetInvalid(
                f"{self._folder} is not empty, and nothing that exists is touched by a restore beside.",
                hint="Name an empty or a new folder: data_directory.",
            )
        if self.kind == STATIC:
            self._require_parts(source)
        return RestoreInspection(
            facts={"entries": noted.entries, "roots": [f"/{root}" for root in noted.roots], "counts": noted.counts},
            steps=tuple(step.title for step in self.steps(source=source, progress=Progress(clock=self._host.clock))),
            places=(f"/{noted.roots[0]} -> {os.path.join(self._folder, noted.roots[0])}",) if noted.roots else (),
            needed_bytes=noted.bytes,
            free_bytes=free_bytes(self._folder),
            warnings=_unprivileged(),
        )

    def steps(self, *, source: PayloadSource, progress: Progress) -> t.Sequence[Step]:
        """See Restorer."""
        return (
            Step(
                name=_FOLDER,
                title=f"make the folder {self._folder}",
                plan=lambda: {"existed": os.path.isdir(self._folder)},
                do=lambda _facts: self._make_folder(),
                undo=self._remove_folder,
            ),
            Step(
                name=_UNPACK,
                title="unpack and check the backup there",
                do=lambda _facts: self._unpack(source, progress),
                undo=lambda _facts: self._discard_staging(),
            ),
            Step(
                name=_PLACE,
                title="give the files their places in it",
                do=lambda _facts: self._place(),
                undo=lambda _facts: self._take_away(),
            ),
        )

    def outcome(self, *, facts: t.Mapping[str, Facts]) -> Restoration:
        """See Restorer."""
        unpacked = facts[_UNPACK]
        return Restoration(
            content={"entries": unpacked["entries"]},
            where=f"folder {self._folder}",
            connect=f"cd {shlex.quote(self._folder)}",
            warnings=tuple(str(one) for one in unpacked["warnings"]),
        )

    def discard(self, *, facts: t.Mapping[str, Facts]) -> tuple[str, ...]:
        """See Restorer: nothing was moved aside."""
        del facts
        return ()

    # --- the steps ---------------------------------------------------------------------------------------------------

    def _make_folder(self) -> Facts | None:
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        fsync_folder(os.path.dirname(self._folder))
        return None

    def _remove_folder(self, facts: Facts) -> None:
        if not facts.get("existed") and os.path.isdir(self._folder) and not os.listdir(self._folder):
            os.rmdir(self._folder)

    def _unpack(self, source: PayloadSource, progress: Progress) -> Facts:
        self._discard_staging()
        os.mkdir(self._staging, 0o700)
        unpacker = Unpacker(self._staging, selection=self._options.selection, owners=os.geteuid() == 0)
        if self.kind == STATIC:
            parts = Parts(source, self._chain)
            with fetched_list(source, progress=progress) as listed:
                unpack_parts(unpacker, parts, listed, selection=self._options.selection, progress=progress)
        else:
            source.deliver(FILES_PAYLOAD, PayloadOutput(read=unpacker.unpack), progress=progress)
        if not unpacker.count:
            raise nothing_there(self._options.paths, noted_in(source.manifest).roots)
        os.sync()
        return {"entries": unpacker.count, "warnings": unpacker.refusals.warnings()}

    def _require_parts(self, source: PayloadSource) -> None:
        """Before anything is made: all tars that are needed are there. Raises ChainBroken."""
        selection = self._options.selection
        needed: set[str] = set()
        read_listing(
            source,
            lambda listed: needed.update(needed_parts(entry for entry in listed if selection.takes(entry))),
            progress=Progress(clock=self._host.clock),
        )
        Parts(source, self._chain).require(needed)

    def _discard_staging(self) -> None:
        shutil.rmtree(self._staging, ignore_errors=True)

    def _place(self) -> Facts | None:
        if os.path.isdir(self._staging):
            for name in sorted(os.listdir(self._staging)):
                os.rename(os.path.join(self._staging, name), os.path.join(self._folder, name))
            os.rmdir(self._staging)
        fsync_folder(self._folder)
        return None

    def _take_away(self) -> None:
        """The folder was empty: all that is in it is ours, but what is staged is the other step's."""
        for name in os.listdir(self._folder) if os.path.isdir(self._folder) else ():
            path = os.path.join(self._folder, name)
            if path == self._staging:
                continue
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)


def nothing_there(paths: t.Sequence[str], roots: t.Sequence[str]) -> RestoreTargetInvalid:
    """For a selection that selects nothing."""
    return RestoreTargetInvalid(
        f"The backup has nothing at {', '.join(paths) or 'any path'}.",
        hint=f"It is of {', '.join(f'/{root}' for root in roots)}; paths begin with these.",
        details={"paths": list(paths), "roots": list(roots)},
    )


def _unprivileged() -> tuple[str, ...]:
    return () if os.geteuid() == 0 else ("This is not root: owners can't be given back.",)
