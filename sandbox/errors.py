# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .parts import MissingPart


class SandboxError(RuntimeError):
    """Base of everything that the sandbox refuses or fails to do."""


class PartsMissing(SandboxError):
    """A program that a server needs is not on this machine; says which package brings it."""

    def __init__(self, parts: Sequence[MissingPart]) -> None:
        self.parts = tuple(parts)
        super().__init__("missing on this machine:\n" + "\n".join(f"  - {part}" for part in self.parts))


class StartFailed(SandboxError):
    """A server died while starting or wasn't ready in time; carries the last lines of its log."""


class PortTaken(StartFailed):
    """The port that the server must have belongs to another process."""


class StopFailed(SandboxError):
    """A server survived even SIGKILL to its whole group, or one that is required was not running."""
