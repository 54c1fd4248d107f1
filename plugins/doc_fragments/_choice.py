# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of what chooses a backup. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    """One fragment."""

    DOCUMENTATION = r"""
options:
  service:
    description: The service that the backup belongs to.
    type: str
    required: true
  source:
    description: The source within the service.
    type: str
    required: true
  id:
    description:
      - The backup with this id, whether verified or not.
      - Left out, O(point) and O(before) choose.
    type: str
  before:
    description:
      - Only backups that were started before this time.
      - RFC 3339 with a zone, for example V(2026-11-21T02:00:00Z).
    type: str
  point:
    description:
      - V(newest_verified) is the newest backup that a verification restored; it is what is taken when this is left out.
      - V(newest) is the newest one, verified or not, that did not fail its verification.
    type: str
    choices: [newest_verified, newest]
  allow_failed:
    description: Whether to take a backup whose verification failed, where O(id) names it.
    type: bool
    default: false
"""
