# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup of the kind static builds on; or why it is a whole one."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..catalog.manifest import Manifest
from ..core.description.duration import describe_duration
from ..core.ids import backup_id_time, is_backup_id
from .remembered import Known, NotRemembered, Remembered, Shelf
from .static_options import StaticOptions


@dataclass(frozen=True)
class Basis:
    """*parent* is what it builds on; None for a whole backup, and then *why* says why.

    *whole* is the id of the whole backup at the beginning of the chain, *steps* how many increments come after it with
    this one. *newest* is the newest backup of which *known* are the files, also where it is not built on. *is_odd* is
    set where the reason is one that an operator should look at.
    """

    parent: Manifest | None = None
    whole: str = ""
    steps: int = 0
    why: str = ""
    is_odd: bool = False
    newest: Manifest | None = None
    known: Remembered | None = None

    def files(self) -> t.Iterable[Known]:
        """The files of the parent, in their order; none for a whole backup."""
        return () if self.parent is None else self.known_files()

    def known_files(self) -> t.Iterable[Known]:
        """The files of the newest one, in their order."""
        return () if self.known is None else self.known.files()


def choose_basis(
    parent: Manifest | None,
    *,
    shelf: Shelf,
    options: StaticOptions,
    is_whole_wanted: bool,
    now: datetime.datetime,
) -> Basis:
    """Of the newest backup in every repository, where there is one. Reads what was noted of it to its end."""
    if is_whole_wanted:
        return Basis(why="it was asked for")
    if parent is None:
        return Basis(why="none is known that every repository has, and that did not fail its verification")
    noted = parent.content.get("parent") or {}
    whole, steps = str(noted.get("whole") or parent.backup_id), int(noted.get("steps") or 0)
    why = _too_long(whole, steps, options=options, now=now)
    try:
        known = shelf.look(parent)
    except NotRemembered as error:
        return Basis(why=why or str(error), is_odd=why is None)
    if why is not None:
        return Basis(why=why, newest=parent, known=known)
    return Basis(parent=parent, whole=whole, steps=steps + 1, newest=parent, known=known)


def _too_long(whole: str, steps: int, *, options: StaticOptions, now: datetime.datetime) -> str | None:
    if steps >= options.max_steps:
        return f"{steps} increments follow {whole}, and max_steps is {options.max_steps}"
    if is_backup_id(whole) and now - backup_id_time(whole) >= options.max_age:
        return f"{whole} is older than max_age ({describe_duration(options.max_age)})"
    return None
