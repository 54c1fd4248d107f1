# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""While a process's stream is compressed, the plain bytes are seen as they pass, not at the end only."""

from __future__ import annotations

import os

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import PayloadInput
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.stream import stream
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import Compression

FIRST, LAST = 8_000_000, 1000


def test_plain_bytes_are_counted_while_they_pass() -> None:
    progress = Progress(clock=SystemClock())
    seen: list[int] = []
    descriptors = set(os.listdir("/proc/self/fd"))

    def consume(data: memoryview) -> None:
        del data
        seen.append(progress.bytes_done)

    plain = stream(
        PayloadInput(
            name="x",
            media="text",
            argv=("sh", "-c", f"head -c {FIRST} /dev/urandom; sleep 0.3; head -c {LAST} /dev/urandom"),
        ),
        transforms=(Compression(level=1, threads=1),),
        consume=consume,
        progress=progress,
    )

    assert plain == FIRST + LAST
    assert progress.bytes_done == plain
    assert seen == sorted(seen)
    assert FIRST // 2 < seen[-1] <= FIRST + LAST + 65536  # zstd reads its own libraries, too
    assert set(os.listdir("/proc/self/fd")) == descriptors
