# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows a background backup from the controller: one line of progress a look, until it has ended."""

from __future__ import annotations

import time
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils._engine.report.results import progress_text

_FIRST_LOOK_SECONDS = 0.5
_MODULE = "lifeboat.recovery.backup_follow"


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible has no types
    """Looks after half a second, then after twice as long each time up to the interval."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """The result of the background task."""
        super().run(tmp, task_vars)
        _checked, options = self.validate_argument_spec(
            argument_spec={
                "jid": {"type": "str", "required": True},
                "job": {"type": "str", "required": True},
                "state_directory": {"type": "path", "default": "/var/lib/lifeboat"},
                "interval": {"type": "int", "default": 10},
            }
        )
        host = (task_vars or {}).get("inventory_hostname", "?")
        pause = _FIRST_LOOK_SECONDS
        while True:
            time.sleep(pause)
            status = self._async_status("status", options["jid"], task_vars)
            if status.get("finished") or status.get("failed"):
                self._async_status("cleanup", options["jid"], task_vars)
                return status
            look = self._execute_module(module_name=_MODULE, module_args=options, task_vars=task_vars)
            if look.get("failed"):
                return dict(look)
            for document in look["running"]:
                Display().display(f"  [{host}] {options['job']}: {progress_text(document['progress'])}")
            pause = min(pause * 2, options["interval"])

    def _async_status(self, mode: str, jid: str, task_vars: dict[str, t.Any] | None) -> dict[str, t.Any]:
        folder = self.get_shell_option("async_dir", default="~/.ansible_async")
        return dict(
            self._execute_module(
                module_name="ansible.legacy.async_status",
                module_args={"jid": jid, "mode": mode, "_async_dir": folder},
                task_vars=task_vars,
            )
        )
