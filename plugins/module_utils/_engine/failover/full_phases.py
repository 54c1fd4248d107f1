# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The phases in which a lost system comes back. A step's phase is among its options."""

from __future__ import annotations

PREPARE, DATA, APPLICATION, START, VERIFY = "prepare", "data", "application", "start", "verify"
#: In this order.
PHASES = (PREPARE, DATA, APPLICATION, START, VERIFY)
