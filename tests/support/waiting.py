# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait for what somebody else does: never longer than it takes, and not for ever."""

from __future__ import annotations

import time
import typing as t


def wait_for(
    condition: t.Callable[[], t.Any], *, what: str | t.Callable[[], str] = "what was waited for", seconds: float = 60
) -> t.Any:
    """Ask until the answer is true, and return it. *what* is for the failure: a text, or who knows it then."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what() if callable(what) else what}: not after {seconds:g} seconds")
        time.sleep(0.005)
    return found
