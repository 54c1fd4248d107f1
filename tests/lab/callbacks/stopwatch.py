# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes when each task of a play begins, in the file that LIFEBOAT_STOPWATCH names: where the time goes."""

from __future__ import annotations

import json
import os
import time
import typing as t

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: stopwatch
type: aggregate
short_description: When each task begins
description: For the lab of two regions.
"""


class CallbackModule(CallbackBase):
    """What Ansible looks for."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "stopwatch"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: t.Any) -> None:
        self._note("the play begins")

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        self._note(task.get_name())

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        self._note("the end")

    def _note(self, what: str) -> None:
        with open(os.environ["LIFEBOAT_STOPWATCH"], "a", encoding="utf-8") as file:
            file.write(json.dumps({"at": time.monotonic(), "what": what}) + "\n")
