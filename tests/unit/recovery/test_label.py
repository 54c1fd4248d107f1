# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A label means one instant: what was changed, cut short or renamed is not taken for one."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import json
import typing as t

import pytest
from hypothesis import given, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import LabelInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.label import (
    Label,
    LabelPoint,
    label_key,
    parse_label,
    point_values,
    points_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import (
    RecoveryTarget,
)
from tests.support.clocks import START


def made() -> Label:
    def after(seconds: float) -> datetime.datetime:
        return START + datetime.timedelta(seconds=seconds)

    lsn, second = (
        RecoveryTarget(kind="lsn", value="0/3000148", inclusive=False),
        RecoveryTarget(kind="time", value="2026-11-21T02:00:00Z", time=START),
    )
    return Label(
        name="before-upgrade",
        service="adhd",
        host="db1",
        points=(
            LabelPoint("main", "postgresql", lsn, after(0.01), after(0.2), facts={"timeline": 1}, host="db1"),
            LabelPoint("cache", "redis", second, asked=after(0), answered=after(0.05)),
        ),
    )


def test_a_label_is_read_as_it_was_written() -> None:
    label = made()
    assert label.key == "adhd/.labels/before-upgrade.json"
    assert parse_label(label.as_bytes(), key=label.key) == label


def test_the_skew_reaches_from_the_first_question_to_the_last_answer() -> None:
    assert made().skew_seconds == pytest.approx(0.2)
    assert made().as_dict()["made"] == "2026-11-21T02:00:00Z"


def test_hosts_with_clocks_of_their_own_have_the_skew_that_was_measured() -> None:
    label = dataclasses.replace(made(), measured_skew=1.25)
    assert (label.skew_seconds, label.as_dict()["skew_seconds"]) == (1.25, 1.25)
    assert parse_label(label.as_bytes(), key=label.key) == label


def test_a_label_without_hosts_of_its_points_is_read() -> None:
    document = made().as_dict()
    for point in document["points"]:
        del point["host"]
    del document["checksum"]
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    document["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    points = parse_label(json.dumps(document).encode(), key=made().key).points
    assert [point.host for point in points] == ["", ""]


def test_points_travel_as_values() -> None:
    points = made().points
    assert points_from(json.loads(json.dumps([point_values(one) for one in points]))) == points


@pytest.mark.parametrize("broken", [{}, {"source": "main"}, None, {**point_values(made().points[0]), "kind": "never"}])
def test_points_that_can_not_be_read_are_refused(broken: t.Any) -> None:
    with pytest.raises(LabelInvalid, match="can't be read"):
        points_from([broken])


def test_a_label_under_another_name_is_refused() -> None:
    with pytest.raises(LabelInvalid, match="describes something else"):
        parse_label(made().as_bytes(), key="adhd/.labels/other.json")


def test_a_changed_position_is_seen() -> None:
    document = json.loads(made().as_bytes())
    document["points"][0]["value"] = "0/9999999"
    with pytest.raises(LabelInvalid, match="checksum differs"):
        parse_label(json.dumps(document).encode(), key=made().key)


@pytest.mark.parametrize("name", ["", "Before", "a/b", "../main", ".hidden", "x" * 64])
def test_what_can_not_be_a_name_is_refused(name: str) -> None:
    with pytest.raises(LabelInvalid):
        label_key("adhd", name)


@given(st.binary(max_size=300), st.integers(0, 900))
def test_whatever_bytes_come_in_only_the_named_error_comes_out(noise: bytes, place: int) -> None:
    whole = made().as_bytes()
    for data in (noise, whole[:place] + noise + whole[place + len(noise) :]):
        with contextlib.suppress(LabelInvalid):
            assert parse_label(data, key=made().key) == made()
