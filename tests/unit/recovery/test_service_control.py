# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that can't be stopped or started is an error that says which command to run by hand."""

from __future__ import annotations

import dataclasses
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    RequestInvalid,
    ServiceControlFailed,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery import service_control
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.service_control import (
    service_control_from,
)


def test_commands_are_split_as_a_shell_would_and_run_without_one(tmp_path: pathlib.Path) -> None:
    control = service_control_from(
        {"stop_command": f"touch '{tmp_path}/a file' '$HOME'{tmp_path.name}", "start_command": "true"}
    )
    assert control is not None
    assert control.stop_argv == ("touch", f"{tmp_path}/a file", f"$HOME{tmp_path.name}")
    made = dataclasses.replace(control, stop_argv=("touch", f"{tmp_path}/a file"))
    made.stop(runner=SubprocessRunner())
    assert (tmp_path / "a file").exists()
    made.start(runner=SubprocessRunner())


def test_a_unit_is_stopped_and_started_by_systemctl() -> None:
    control = service_control_from({"unit": "redis-server"})
    assert control is not None
    assert control.stop_argv == ("systemctl", "stop", "redis-server")
    assert control.start_argv == ("systemctl", "start", "redis-server")
    assert control.name == "the unit redis-server"
    assert service_control_from(None) is None
    assert service_control_from({}) is None


@pytest.mark.parametrize("command", ["false", "no-such-program", "sleep 60"])
def test_whatever_goes_wrong_with_the_command_is_one_error(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_control, "_TIMEOUT", 0.3)
    control = service_control_from({"stop_command": f"{command} --now", "start_command": command})
    assert control is not None
    for act, verb in ((control.stop, "stopped"), (control.start, "started")):
        with pytest.raises(ServiceControlFailed, match=f"could not be {verb}") as raised:
            act(runner=SubprocessRunner())
        assert command.partition(" ")[0] in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("description", "match"),
    [
        ({"unit": "x", "stop_command": "y"}, "not both"),
        ({"stop_command": "y"}, "needs both"),
        ({"start_command": "y"}, "needs both"),
        ({"stop_command": "y", "start_command": "'"}, "start_command can't be read"),
        ({"stop_command": " # ", "start_command": ""}, "service_control"),
        ({"units": "x"}, "units"),
        ({"unit": 5}, "unit"),
    ],
)
def test_what_says_neither_how_to_stop_nor_how_to_start_is_refused(description: dict[str, t.Any], match: str) -> None:
    with pytest.raises(RequestInvalid, match=match):
        service_control_from(description)
