# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stream source is made from: everything that it may need to know of the job and of the host."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ...catalog.layout import Series
from ...core.host import Host
from ...core.state import StateDirectory
from ...streams.source import StreamSource
from ...streams.spool import Spool


@dataclass(frozen=True)
class StreamContext:
    """One stream job on this host.

    *connection* is as written in the description. *options* are those of the job that its room reads
    (``archive_timeout``); what shipping itself reads (spool, budget, copies, alarm) is not among them.
    """

    series: Series
    host: Host
    state: StateDirectory
    spool: Spool
    connection: t.Mapping[str, t.Any] = field(default_factory=dict)
    options: t.Mapping[str, t.Any] = field(default_factory=dict)


#: Makes the source of one stream. Connects to nothing. Raises RequestInvalid for options that can't be.
StreamSourceFactory = t.Callable[[StreamContext], StreamSource]
