# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of this machine that the whole hosts are made with."""

from __future__ import annotations

import subprocess
import typing as t


class HostsUnavailable(Exception):
    """Whole hosts can't be had on this machine; the text says why."""


def do(argv: t.Sequence[object], *, timeout: float = 120, data: str | bytes | None = None) -> str:
    """Run a program of this machine; what it printed. Raises HostsUnavailable with its words."""
    words = [str(word) for word in argv]
    given = data.encode() if isinstance(data, str) else data
    try:
        done = subprocess.run(words, input=given, capture_output=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostsUnavailable(f"{' '.join(words)[:200]}: {error}") from error
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode("utf-8", "replace").strip()
        raise HostsUnavailable(f"{' '.join(words)[:200]} ended with {done.returncode}: {said[-1500:]}")
    return done.stdout.decode("utf-8", "replace")
