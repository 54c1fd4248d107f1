# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts stay within what S3 takes and within the memory that is promised."""

from __future__ import annotations

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.s3_parts import (
    LARGEST_PART,
    MOST_PARTS,
    SMALLEST_PART,
    PartPlan,
    plan_parts,
)

MIB = 1024**2
GIB = 1024**3
TERABYTE = 10**12


def parts_of(plan: PartPlan, size: int) -> list[int]:
    """The sizes of the parts of an object of *size* bytes."""
    sizes: list[int] = []
    while size > 0:
        sizes.append(min(plan.part_bytes(len(sizes) + 1), size))
        size -= sizes[-1]
    return sizes


def most_memory(plan: PartPlan, size: int) -> int:
    """The most that is held at one time: the part that is filled, and those before it on their way."""
    sizes = parts_of(plan, size)
    return max(sum(sizes[max(0, number - plan.parallel(number + 1)) : number + 1]) for number in range(len(sizes)))


@pytest.mark.parametrize("expected", [None, 1, 10 * MIB, 100 * GIB, TERABYTE, 5 * TERABYTE, 40 * TERABYTE])
def test_parts_are_what_s3_takes(expected: int | None) -> None:
    plan = plan_parts(expected_bytes=expected)
    sizes = [plan.part_bytes(number) for number in range(1, MOST_PARTS + 1)]
    assert sizes == sorted(sizes)
    assert sizes[0] >= 8 * MIB
    assert sizes[-1] <= LARGEST_PART == 5 * GIB


def test_five_terabytes_fit_without_an_estimate() -> None:
    assert len(parts_of(plan_parts(expected_bytes=None), 5 * TERABYTE)) <= MOST_PARTS


@pytest.mark.parametrize("expected", [1, 10 * MIB, 100 * GIB, 500 * GIB, TERABYTE, 5 * TERABYTE])
def test_twice_the_estimate_fits(expected: int) -> None:
    plan = plan_parts(expected_bytes=expected)
    assert plan.most_bytes() >= 2 * expected
    assert len(parts_of(plan, 2 * expected)) <= MOST_PARTS


@pytest.mark.parametrize(
    ("expected", "size", "most"),
    [
        (None, 4 * GIB, 24 * MIB),
        (None, 23 * GIB, 32 * MIB),
        (None, 54 * GIB, 64 * MIB),
        (10 * GIB, 10 * GIB, 24 * MIB),
        (125 * GIB, 125 * GIB, 32 * MIB),
        (250 * GIB, 250 * GIB, 64 * MIB),
        (TERABYTE, TERABYTE, 240 * MIB),
    ],
)
def test_memory_is_what_the_documentation_says(expected: int | None, size: int, most: int) -> None:
    assert most_memory(plan_parts(expected_bytes=expected), size) == most


def test_a_fixed_size_is_fixed() -> None:
    plan = plan_parts(expected_bytes=TERABYTE, fixed=32 * MIB)
    assert {plan.part_bytes(number) for number in (1, 1250, 8001, MOST_PARTS)} == {32 * MIB}
    assert plan_parts(expected_bytes=None, fixed=1).part_bytes(1) == SMALLEST_PART == 8 * MIB
