# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large the parts of a large object are.

S3 takes at most 10,000 parts, each of 5 MiB to 5 GiB but the last, which may be smaller
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html). A part is kept in memory until it is stored,
because it may have to be sent again; nobody can ask the database for it a second time.
"""

from __future__ import annotations

from dataclasses import dataclass

from .s3_options import MIB

MOST_PARTS = 10_000
SMALLEST_PART = 8 * MIB
LARGEST_PART = 5 * 1024 * MIB
_FIRST_PART = 8 * MIB
# Bytes of parts on their way at one time, beside the one that is being filled.
_IN_FLIGHT = 16 * MIB
_MOST_PARALLEL = 2
# Without an idea of the object's size, parts double after so many: the sum of 10,000 is 7.8 TiB.
_DOUBLE_EVERY = 1000
# With an estimate, parts of one size hold it in so many; behind those they double fast.
_ESTIMATED_PARTS = 8000
_DOUBLE_EVERY_BEHIND_ESTIMATE = 250


@dataclass(frozen=True)
class PartPlan:
    """The sizes of the parts of one object, by number from 1.

    Memory: while parts are at most 8 MiB, two are on their way and one is being filled, 24 MiB in all; above that one
    and one, whatever their size. So 32 MiB are enough for objects up to 23 GiB without an estimate of their size and up
    to 125 GiB with one; 64 MiB for 54 GiB and 250 GiB; a terabyte takes 240 MiB with an estimate.
    """

    first_bytes: int
    steady_parts: int
    double_every: int

    def part_bytes(self, number: int) -> int:
        """The size of that part."""
        if not self.double_every or number <= self.steady_parts:
            return self.first_bytes
        doublings = (number - self.steady_parts - 1) // self.double_every + 1
        return min(self.first_bytes << doublings, LARGEST_PART)

    def parallel(self, number: int) -> int:
        """How many parts may be on their way while that one is being filled."""
        return max(1, min(_MOST_PARALLEL, _IN_FLIGHT // self.part_bytes(number)))

    def most_bytes(self) -> int:
        """The largest object that fits."""
        return sum(self.part_bytes(number) for number in range(1, MOST_PARTS + 1))


def plan_parts(*, expected_bytes: int | None, fixed: int | None = None) -> PartPlan:
    """The plan for an object of about *expected_bytes*; *fixed* is a size that an operator chose for all parts."""
    if fixed is not None:
        return PartPlan(first_bytes=max(fixed, SMALLEST_PART), steady_parts=MOST_PARTS, double_every=0)
    if not expected_bytes:
        return PartPlan(first_bytes=_FIRST_PART, steady_parts=_DOUBLE_EVERY, double_every=_DOUBLE_EVERY)
    needed = -(-expected_bytes // (_ESTIMATED_PARTS * MIB)) * MIB
    return PartPlan(
        first_bytes=min(max(needed, _FIRST_PART), LARGEST_PART),
        steady_parts=_ESTIMATED_PARTS,
        double_every=_DOUBLE_EVERY_BEHIND_ESTIMATE,
    )


def slices(data: bytes | memoryview, *, first: int) -> tuple[memoryview, memoryview]:
    """*data* cut in two: at most *first* bytes, and the rest. Nothing is copied."""
    view = memoryview(data).cast("B")
    return view[:first], view[first:]
