# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stream as it is stored: the segments of one lineage in order, where each is, and what happened to it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..core.errors import LifeboatError
from .layout import StreamFolder
from .segment import Segment, StreamEvent


@dataclass(frozen=True)
class StoredSegment:
    """A segment and the repositories that have it. Copies differ in their stored bytes where they are encrypted."""

    segment: Segment
    copies: t.Mapping[str, Segment]  # repository name -> the segment as stored there


@dataclass(frozen=True)
class Stream:
    """One lineage. *segments* are in the order in which they were recorded; rooms put them into their own.

    *problems* are records that could not be read and repositories that did not answer: never left out silently.
    """

    folder: StreamFolder
    segments: tuple[StoredSegment, ...]
    events: tuple[StreamEvent, ...] = ()
    problems: tuple[LifeboatError, ...] = field(default_factory=tuple)
