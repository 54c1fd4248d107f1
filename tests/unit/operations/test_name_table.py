# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long lists of names keep what they are told, outside of memory, and leave nothing behind."""

from __future__ import annotations

import contextlib
import os
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import ScratchUnusable
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.name_table import (
    NameTable,
    number_of,
)


@pytest.fixture
def names() -> t.Iterator[NameTable]:
    with contextlib.closing(NameTable()) as table:
        yield table


def test_names_are_found_with_their_numbers(names: NameTable) -> None:
    every = [(f"name-{number}", number, number * 7) for number in range(2000)]
    names.add(every)
    assert len(names) == 2000
    assert names.find([name for name, _first, _second in every]) == {
        name: (first, second) for name, first, second in every
    }
    assert names.find(["nobody", "name-3"]) == {"name-3": (3, 21)}
    assert names.find([]) == {}


def test_the_first_one_counts_unless_it_is_replaced(names: NameTable) -> None:
    names.add([("a", 1, 2), ("a", 3, 4)])
    names.add([("a", 5, 6)])
    assert names.find(["a"]) == {"a": (1, 2)}
    names.replace([("a", 5, 6)])
    assert names.find(["a"]) == {"a": (5, 6)}


def test_what_was_never_seen_is_told_by_its_second_number(names: NameTable) -> None:
    names.add([("a", 1, 10), ("b", 1, 10), ("c", 1, 20), ("d", 1, 30)])
    names.see(["a", "d", "nobody"])
    assert list(names.unseen()) == [(10, 1), (20, 1)]
    assert [names.is_unseen(name) for name in ("a", "b", "nobody")] == [False, True, False]
    assert names.forget_unseen() == 2
    assert set(names.find(["a", "b", "c", "d"])) == {"a", "d"}


def test_an_error_in_the_middle_leaves_a_table_that_goes_on(names: NameTable) -> None:
    def rows() -> t.Iterator[tuple[str, int, int]]:
        yield "a", 1, 1
        raise LookupError

    with pytest.raises(LookupError):
        names.add(rows())
    names.add([("b", 2, 2)])
    assert "b" in names.find(["a", "b"])


def test_numbers_of_texts_fit(names: NameTable) -> None:
    texts = [str(number) for number in range(1000)]
    numbers = {number_of(text) for text in texts}
    assert len(numbers) == 1000
    assert all(0 <= number < 1 << 63 for number in numbers)
    names.add((text, number_of(text), 0) for text in texts)
    assert names.find(["7"]) == {"7": (number_of("7"), 0)}


@pytest.mark.thorough
def test_what_does_not_fit_into_its_cache_lies_in_a_file_without_a_name() -> None:
    """So it goes with the process, however that ends."""
    with contextlib.closing(NameTable()) as table:
        table.add((f"name-{number}", number, 0) for number in range(400_000))
        files = [path for path in open_files() if "etilqs" in path]
        assert files, "it was kept in memory after all"
        assert all(path.endswith(" (deleted)") for path in files)
    assert not [path for path in open_files() if "etilqs" in path]


def open_files() -> list[str]:
    found = []
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{entry}"))
    return found


def test_a_full_disk_has_a_name_and_a_hint(names: NameTable) -> None:
    # What a full disk is to SQLite: no more pages than so many.
    names._base.execute("PRAGMA max_page_count = 20")
    with pytest.raises(ScratchUnusable) as caught:
        names.add((f"name-{number}", number, 0) for number in range(100_000))
    assert "TMPDIR=" in caught.value.hint
