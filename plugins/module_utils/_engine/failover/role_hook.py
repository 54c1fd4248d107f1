# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role of the user's that points an application at what has moved: named in the plan, and so approved with it."""

from __future__ import annotations

import typing as t

from .plan import Json


def by_role(place: Json) -> str:
    """The words of a step for it."""
    return f", by your role {place['role']}" if place.get("role") else ""


def role_option(place: Json) -> dict[str, t.Any]:
    """The option of a step that names it; none for an application without one."""
    return {"role": str(place["role"])} if place.get("role") else {}
