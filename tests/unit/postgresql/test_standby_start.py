# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a standby: what time mends is waited for, and what it does not is said at once."""

from __future__ import annotations

import types
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    PostgresAuthenticationFailed,
    PostgresHbaRefused,
    StandbyNotReached,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.standby_start import bring_up
from tests.support.clocks import FakeClock
from tests.unit.postgresql.test_standby_ways import UPSTREAM


def wait_with(error: type[LifeboatError], clock: FakeClock) -> None:
    def connect(**_arguments: t.Any) -> t.NoReturn:
        raise error("It does not let anybody in.", hint="Let them in.")

    bring_up(
        t.cast("t.Any", types.SimpleNamespace(is_running=True)),
        connection=t.cast("t.Any", types.SimpleNamespace(connect=connect)),
        upstream=UPSTREAM,
        folder="/nowhere",
        timeout=30,
        host=Host(clock=clock),
    )


def test_a_role_comes_with_the_data_and_a_line_of_pg_hba_never() -> None:
    clock = FakeClock()
    with pytest.raises(PostgresHbaRefused):
        wait_with(PostgresHbaRefused, clock)
    assert clock.slept == []
    with pytest.raises(StandbyNotReached, match="does not let anybody in"):
        wait_with(PostgresAuthenticationFailed, clock)
    assert sum(clock.slept) > 29
