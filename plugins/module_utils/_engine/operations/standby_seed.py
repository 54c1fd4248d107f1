# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A standby's first copy out of the repositories, so that its primary isn't read for it: a restore in its place."""

from __future__ import annotations

import dataclasses
import typing as t

from ..core.host import Host
from ..postgresql.standby_folder import StandbyFolder
from ..postgresql.standby_making import Seeded
from .restore import plan_restore, run_restore
from .restore_values import RestoreRequest


class RepositorySeed:
    """A base backup, as *request* chooses it; the rest of the way is WAL: the archive's, then the primary's.

    *service_control* says how a server is stopped that still runs there when it is planned.
    """

    def __init__(
        self,
        request: RestoreRequest,
        *,
        bin_directory: str,
        host: Host,
        service_control: t.Mapping[str, t.Any] | None = None,
    ) -> None:
        self._request = request
        self._service_control = service_control
        self._bin_directory = bin_directory
        self._host = host

    def plan(self, folder: StandbyFolder) -> str:
        """Which backup. Raises what planning a restore raises: no backup, no key, no room."""
        plan = plan_restore(self._request_for(folder), host=self._host)
        backup = plan.choice.as_dict()
        return f"restore the {backup['kind']} backup {backup['id']} of {backup['repository']} ({backup['reason']})"

    def run(self, folder: StandbyFolder) -> Seeded:
        """Restore it; a cluster that lies there is moved aside. Raises what restoring raises."""
        result = run_restore(self._request_for(folder), host=self._host)
        aside = result.restoration.aside if result.restoration is not None else ()
        return Seeded(text=str(result.backup["id"]), aside=aside[0] if aside else None)

    def _request_for(self, folder: StandbyFolder) -> RestoreRequest:
        options = {
            "data_directory": folder.path,
            "in_place": True,
            "start": False,
            "standby": True,
            **({"bin_directory": self._bin_directory} if self._bin_directory else {}),
            **({"service_control": self._service_control} if folder.running and self._service_control else {}),
        }
        # What it replaces was looked at: a former primary of the same cluster, or a standby that can't catch up.
        confirm = folder.path if folder.is_cluster else None
        return dataclasses.replace(self._request, options=options, confirm=confirm)
