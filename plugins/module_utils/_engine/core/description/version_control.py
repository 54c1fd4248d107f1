# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which repositories are version control: they hold configuration and code, and no catalog."""

from __future__ import annotations

import typing as t


def is_version_control(repository: t.Mapping[str, t.Any]) -> bool:
    """Whether *repository*, as the description has it, is one of git."""
    return repository.get("type") == "git"
