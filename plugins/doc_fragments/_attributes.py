# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes that all modules of the collection have. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragments by name."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in check mode, changes nothing there and returns the plan.
    support: full
  diff_mode:
    description: Shows what would be or was done.
    support: full
  action_group:
    description: Use C(group/lifeboat.recovery.lifeboat) in C(module_defaults) to set options for all modules at once.
    support: full
    membership:
      - lifeboat.recovery.lifeboat
"""

    INFO = r"""
attributes:
  check_mode:
    description: Only reads, so check mode makes no difference.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to compare.
    support: N/A
  action_group:
    description: Use C(group/lifeboat.recovery.lifeboat) in C(module_defaults) to set options for all modules at once.
    support: full
    membership:
      - lifeboat.recovery.lifeboat
"""
