# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of users and groups by their numbers, each looked up once."""

from __future__ import annotations

import grp
import pwd


class Owners:
    """What this host calls them; empty for numbers that have no name."""

    def __init__(self) -> None:
        self._users: dict[int, str] = {}
        self._groups: dict[int, str] = {}

    def user_name(self, number: int) -> str:
        """Of a user."""
        if number not in self._users:
            try:
                self._users[number] = pwd.getpwuid(number).pw_name
            except KeyError:
                self._users[number] = ""
        return self._users[number]

    def group_name(self, number: int) -> str:
        """Of a group."""
        if number not in self._groups:
            try:
                self._groups[number] = grp.getgrgid(number).gr_name
            except KeyError:
                self._groups[number] = ""
        return self._groups[number]
