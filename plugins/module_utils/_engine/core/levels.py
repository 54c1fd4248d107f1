# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a verification goes, or came: each level has those below it in it."""

from __future__ import annotations

import typing as t

PRESENT, INTACT, READABLE, RESTORED, QUESTIONED = range(5)
LEVELS: t.Mapping[int, str] = {
    PRESENT: "present",
    INTACT: "intact",
    READABLE: "readable",
    RESTORED: "restored",
    QUESTIONED: "questioned",
}
