# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup into the places of what is there now. That goes aside first, and comes back when anything fails."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..core.errors import RestoreNoSpace
from ..core.progress import Progress
from ..pipeline.delivery import PayloadOutput
from ..recovery.ledger import Ledger
from ..recovery.payload_source import PayloadSource
from ..recovery.restorer import Restoration, RestoreInspection, RestorerContext
from ..recovery.scratch import free_bytes
from ..recovery.steps import Facts, Step
from . import places
from .actions import DRESS, FOLDER, PUT, REMOVE, Action, read_actions, write_actions
from .beside import nothing_there
from .comparing import ADDED, CHANGED, EXTRA, SAME, Difference, Rules, differences
from .entry import FOLDER as FOLDER_ENTRY, HARD_LINK, Entry
from .exchange import Exchange, prune_empty, remove_tree
from .listing import read_listing
from .noted import Noted, noted_in
from .parts import Parts, needed_parts
from .patterns import Patterns
from .plan_text import ChangeSummary, line_differences
from .restore_notes import FILES_PAYLOAD
from .restore_options import FilesRestoreOptions
from .staging import Stager, make_places, sync_places
from .walk import Found, WalkNotes, walk

_LOOK, _STAGE, _EXCHANGE, _TIDY = "look", "stage", "exchange", "tidy"
_NOTES = "files-restores"
_BASE = "/"


class InPlaceRestorer:
    """See :class:`recovery.restorer.Restorer`."""

    engine = "files"

    def __init__(self, *, kind: str, options: FilesRestoreOptions, context: RestorerContext) -> None:
        self.kind = kind
        self._options = options
        self._context = context
        self._host = context.host
        self._id = context.restore_id
        self._owners = os.geteuid() == 0

    @property
    def target(self) -> str:
        """ "files on HOST": whoever confirms it has looked which host this is."""
        return f"files on {self._host.name}"

    def inspect(self, *, source: PayloadSource) -> RestoreInspection:
        """See Restorer. Raises RestoreTargetInvalid and FilesUnreadable."""
        noted = noted_in(source.manifest)
        source.require_key()
        progress = Progress(clock=self._host.clock)
        summary = ChangeSummary()
        parts = Parts(source, self._context.chain)

        def take(listed: t.Iterator[Entry]) -> None:
            for difference in self._differences(listed, noted):
                summary.add(difference, show_private=self._options.show_private)

        read_listing(source, take, progress=progress)
        if not summary.taken:
            raise nothing_there(self._options.paths, noted.roots)
        parts.require(summary.needed)
        counts = summary.counts
        replaced = counts[CHANGED] + (counts[EXTRA] if self._options.exact else 0)
        return RestoreInspection(
            facts={
                "counts": counts,
                "changes": summary.changes,
                "diff": line_differences(parts, summary.shown_files, progress=progress),
            },
            steps=tuple(step.title for step in self.steps(source=source, progress=progress)),
            replaces=self.target if replaced else None,
            moves=self._moves(summary),
            needed_bytes=summary.bytes,
            free_bytes=free_bytes(os.path.join(_BASE, os.path.dirname(noted.roots[0]))),
            warnings=self._warnings(summary),
        )

    def steps(self, *, source: PayloadSource, progress: Progress) -> t.Sequence[Step]:
        """See Restorer."""
        return (
            Step(
                name=_LOOK,
                title="compare every file with the backup's list",
                do=lambda _facts: self._look(source, progress),
                undo=lambda _facts: self._forget(),
            ),
            Step(
                name=_STAGE,
                title="fetch and check beside them what differs",
                do=lambda _facts: self._stage(source, progress),
                undo=lambda _facts: self._unstage(),
            ),
            Step(
                name=_EXCHANGE,
                title="move the old ones aside, one by one, and the backup's into their places",
                do=lambda _facts: self._exchange(),
                undo=lambda _facts: self._take_back(),
            ),
            Step(name=_TIDY, title="tidy up", do=lambda _facts: self._tidy(), undo=lambda _facts: None),
        )

    def outcome(self, *, facts: t.Mapping[str, Facts]) -> Restoration:
        """See Restorer."""
        warnings = [*facts[_STAGE]["warnings"], *facts[_EXCHANGE]["warnings"]]
        return Restoration(
            content={"counts": facts[_LOOK]["counts"], "actions": facts[_LOOK]["actions"]},
            where=self.target,
            aside=tuple(str(one) for one in facts[_TIDY]["aside"]),
            warnings=tuple(str(one) for one in warnings),
        )

    def discard(self, *, facts: t.Mapping[str, Facts]) -> tuple[str, ...]:
        """See Restorer."""
        removed = tuple(f"/{place}" for place in facts[_LOOK]["places"] if remove_tree(_BASE, place))
        self._forget()
        return removed

    # --- looking -----------------------------------------------------------------------------------------------------

    def _differences(self, listed: t.Iterator[Entry], noted: Noted) -> t.Iterator[Difference]:
        return differences(
            listed, self._there(noted), selection=self._options.selection, rules=Rules(owners=self._owners)
        )

    def _there(self, noted: Noted) -> t.Iterator[Found]:
        return walk(noted.roots, exclude=Patterns(noted.exclude), notes=WalkNotes(), base=_BASE)

    def _moves(self, summary: ChangeSummary) -> tuple[str, ...]:
        words = {CHANGED: "replaced", ADDED: "made", EXTRA: "moved aside" if self._options.exact else "left as it is"}
        moves = []
        for one in summary.changes:
            what = f" ({', '.join(one['what'])})" if one["what"] else ""
            moves.append(f"{one['path']}: {words[one['change']]}{what}")
        told = sum(count for change, count in summary.counts.items() if change != SAME)
        return (*moves, f"and {told - len(moves)} more") if told > len(moves) else tuple(moves)

    def _warnings(self, summary: ChangeSummary) -> tuple[str, ...]:
        told = []
        if not self._owners:
            told.append("This is not root: owners can't be given back.")
        if summary.counts[EXTRA] and not self._options.exact:
            told.append(f"{summary.counts[EXTRA]} that the backup does not have stay; exact: true moves them aside.")
        return tuple(told)

    # --- the steps ---------------------------------------------------------------------------------------------------

    @property
    def _path(self) -> str:
        return os.path.join(self._context.state.folder(_NOTES), f"{self._id}.jsonl")

    def _facts(self) -> Facts:
        """As they were noted in the first step, also in the process that finishes what another began."""
        return Ledger.load(state=self._context.state, clock=self._host.clock, restore_id=self._id).facts(_LOOK)

    def _look(self, source: PayloadSource, progress: Progress) -> Facts:
        noted = noted_in(source.manifest)
        counts = dict.fromkeys((ADDED, CHANGED, EXTRA, SAME), 0)
        used: dict[str, int] = {}
        told: list[int] = []

        def take(listed: t.Iterator[Entry]) -> None:
            told.append(write_actions(self._path, self._actions(self._differences(listed, noted), noted, counts, used)))

        read_listing(source, take, progress=progress)
        for place, size in used.items():
            free = free_bytes(os.path.join(_BASE, place))
            if size > free:
                raise RestoreNoSpace(
                    f"/{os.path.dirname(place)} has {free} bytes free, and {size} are needed beside the old files.",
                    hint="Free space there; the old files stay until they are discarded.",
                    details={"needed": size, "free": free},
                )
        return {"counts": counts, "actions": told[0], "places": sorted(used)}

    def _actions(
        self, found: t.Iterable[Difference], noted: Noted, counts: dict[str, int], used: dict[str, int]
    ) -> t.Iterator[Action]:
        number = 0
        firsts: dict[str, int] = {}
        for difference in found:
            counts[difference.change] += 1
            do = self._deed(difference)
            if do is None:
                continue
            entry = difference.entry
            place = places.place_for(difference.path, roots=noted.roots, restore_id=self._id)
            used[place] = used.get(place, 0) + (entry.size if entry is not None else 0)
            if entry is not None and entry.links > 1 and entry.kind != HARD_LINK:
                firsts[entry.path] = number
            yield Action(
                number=number,
                do=do,
                path=difference.path,
                place=place,
                entry=entry,
                current=difference.current,
                first=firsts.get(entry.target) if entry is not None and entry.kind == HARD_LINK else None,
            )
            number += 1

    def _deed(self, difference: Difference) -> str | None:
        entry, current = difference.entry, difference.current
        if difference.change == SAME:
            return None
        if entry is None:
            return REMOVE if self._options.exact else None
        if entry.kind != FOLDER_ENTRY:
            return PUT
        return DRESS if current is not None and current.kind == FOLDER_ENTRY else FOLDER

    def _stage(self, source: PayloadSource, progress: Progress) -> Facts:
        used = self._facts()["places"]
        make_places(_BASE, used)
        stager = Stager(_BASE, owners=self._owners)
        for part, payloads in Parts(source, self._context.chain).of(needed_parts(self._puts())):

            def read(stream: t.BinaryIO, part: str = part) -> None:
                stager.stage(stream, self._lying_in(part))

            payloads.deliver(FILES_PAYLOAD, PayloadOutput(read=read), progress=progress)
        sync_places(_BASE, used)
        return {"warnings": stager.refusals.warnings()}

    def _puts(self) -> t.Iterator[Entry]:
        for action in read_actions(self._path):
            if action.do == PUT and action.entry is not None:
                yield action.entry

    def _lying_in(self, part: str) -> t.Iterator[Action]:
        return (one for one in read_actions(self._path) if one.entry is not None and one.entry.backup == part)

    def _unstage(self) -> None:
        for place in self._facts().get("places", ()):
            remove_tree(_BASE, f"{place}/{places.NEW}")
            prune_empty(_BASE, place)

    def _exchange(self) -> Facts:
        with contextlib.closing(Exchange(_BASE, owners=self._owners)) as exchange:
            exchange.do(read_actions(self._path))
            return {"warnings": [*_kept(exchange), *exchange.refusals.warnings()]}

    def _take_back(self) -> None:
        with contextlib.closing(Exchange(_BASE, owners=self._owners)) as exchange:
            exchange.undo(read_actions(self._path))
            for warning in _kept(exchange):
                self._host.journal.warning(warning)

    def _tidy(self) -> Facts:
        # An empty folder that was moved aside is no leftover of ours: only what holds nothing old is removed.
        used = {
            action.place for action in read_actions(self._path) if action.current is not None and action.do != DRESS
        }
        aside = []
        for place in self._facts()["places"]:
            remove_tree(_BASE, f"{place}/{places.NEW}")
            if place not in used:
                prune_empty(_BASE, place)
            if os.path.isdir(os.path.join(_BASE, place)):
                aside.append(f"/{place}")
        return {"aside": aside}

    def _forget(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)


def _kept(exchange: Exchange) -> list[str]:
    return [f"Somebody wrote there meanwhile; that is kept as {path}." for path in exchange.kept]
