# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the option ``service_control``. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    """One fragment."""

    DOCUMENTATION = r"""
options:
  service_control:
    description:
      - How the server whose data is replaced is stopped and started again; for O(in_place=true).
      - Either O(service_control.unit), or both commands.
    type: dict
    suboptions:
      unit:
        description: A unit of systemd.
        type: str
      stop_command:
        description: A command that stops the server and returns when it has ended. It is run without a shell.
        type: str
      start_command:
        description: A command that starts the server. It is run without a shell.
        type: str
"""
