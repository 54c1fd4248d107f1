# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository in memory, as tests use it."""

from __future__ import annotations

import threading
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage import memory


class MemoryStorage(memory.MemoryStorage):
    """A lock that its holder may take again: a writer that nobody holds any more ends its upload when it is collected,
    and that may happen in a thread that is inside of the storage at that moment.
    """

    def __init__(self, **options: t.Any) -> None:
        super().__init__(**options)
        self._lock = threading.RLock()  # type: ignore[assignment]
