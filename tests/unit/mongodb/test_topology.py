# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A healthy secondary that is close behind is read; otherwise the primary, or nobody."""

from __future__ import annotations

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import MongoNoSuitableMember
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.topology import (
    Member,
    Topology,
    members_to_read,
)

PRIMARY = Member(host="a:1", role="PRIMARY", healthy=True, lag=0.0)
CLOSE = Member(host="b:1", role="SECONDARY", healthy=True, lag=1.0)
FAR = Member(host="c:1", role="SECONDARY", healthy=True, lag=600.0)
DOWN = Member(host="d:1", role="SECONDARY", healthy=False, lag=0.0)
ARBITER = Member(host="e:1", role="ARBITER", healthy=True, lag=None)
RECOVERING = Member(host="f:1", role="RECOVERING", healthy=True, lag=None)


def chosen(*members: Member, read_preference: str = "secondaryPreferred") -> list[str]:
    topology = Topology(me="a:1", replica_set="rs0", replica_set_id=None, members=members, direct=False)
    return [member.host for member in members_to_read(topology, read_preference=read_preference, max_lag=60.0)]


def test_the_closest_secondary_first_then_the_primary() -> None:
    closer = Member(host="g:1", role="SECONDARY", healthy=True, lag=0.5)
    assert chosen(PRIMARY, CLOSE, FAR, DOWN, ARBITER, RECOVERING, closer) == ["g:1", "b:1", "a:1"]


def test_the_primary_when_no_secondary_is_fit() -> None:
    assert chosen(FAR, DOWN, ARBITER, RECOVERING, PRIMARY) == ["a:1"]


def test_the_primary_when_it_is_wanted() -> None:
    assert chosen(PRIMARY, CLOSE, read_preference="primary") == ["a:1"]


def test_a_secondary_of_unknown_lag_counts() -> None:
    # Without a primary nobody knows the lag; a backup is still better than none.
    unknown = Member(host="b:1", role="SECONDARY", healthy=True, lag=None)
    assert chosen(unknown, read_preference="secondary") == ["b:1"]


def test_nobody_fit_is_refused_with_the_reason() -> None:
    with pytest.raises(MongoNoSuitableMember, match=r"c:1 SECONDARY 600 s behind") as raised:
        chosen(PRIMARY, FAR, read_preference="secondary")
    assert "max_lag_seconds is 60" in raised.value.hint
