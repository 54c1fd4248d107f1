# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What searches for bad input share: how many examples, JSON documents with anything anywhere, bytes that were damaged.

``make test`` tries thousands; the quick run sets LIFEBOAT_FUZZ_PERCENT, and tries a few of them.
"""

from __future__ import annotations

import copy
import json
import os
import random
import tracemalloc
import typing as t

from hypothesis import HealthCheck, settings, strategies as st

# Milliseconds for one input: it must not hang, and the slowest honest one takes a few.
DEADLINE = 2000
MISSING = object()

Path = tuple[t.Any, ...]


def thousands(examples: int) -> int:
    """So many, or the wanted share of them."""
    return max(examples * int(os.environ.get("LIFEBOAT_FUZZ_PERCENT", "100")) // 100, 10)


def many(examples: int, *, deadline: int | None = DEADLINE) -> settings:
    """Settings for a test that tries so many inputs, or the wanted share of them."""
    return settings(max_examples=thousands(examples), deadline=deadline, suppress_health_check=list(HealthCheck))


def growth(read: t.Callable[[int], None], *, warm: int, first: int, more: int) -> int:
    """Bytes that stay behind when *read* takes *more* bad inputs; before that it took *warm*, and *first* traced."""
    read(warm)
    tracemalloc.start()
    try:
        read(first)
        before = tracemalloc.get_traced_memory()[0]
        read(more)
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


#: Any JSON value, and what Python's reader takes beyond JSON: NaN, infinities, halves of characters.
JSON: st.SearchStrategy[t.Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from((10**400, -(10**400), 2**63, -1, 0, 1e308, float("nan"), float("inf"), -0.0))
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(
        ("\ud800", "\x00", "../../etc/passwd", "2026-11-21T02:00:00Z", "20261121T020000Z-4f2c91", "x" * 9999)
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def places(value: t.Any, path: Path = ()) -> t.Iterator[Path]:
    """Every place in a document."""
    if path:
        yield path
    items: t.Iterable[tuple[t.Any, t.Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield from places(item, (*path, key))


def with_value(document: t.Mapping[str, t.Any], path: Path, value: t.Any) -> dict[str, t.Any]:
    """A copy with another value at that place; MISSING takes it out."""
    made = t.cast("dict[str, t.Any]", copy.deepcopy(dict(document)))
    place: t.Any = made
    for key in path[:-1]:
        place = place[key]
    if value is MISSING:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return made


@st.composite
def altered(draw: st.DrawFn, document: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The document with one to three places changed, taken out, or added."""
    made = dict(document)
    for _change in range(draw(st.integers(1, 3))):
        found = list(places(made))
        if not found:
            break
        path = draw(st.sampled_from(found))
        how = draw(st.sampled_from(("replace", "take out", "add", "other type")))
        if how == "add":
            path = (*path[:-1], draw(st.text(max_size=8))) if isinstance(path[-1], str) else path
        value = MISSING if how == "take out" else draw(JSON)
        if how == "other type":
            value = draw(st.sampled_from((None, [], {}, "", 0, True, [None], {"": None})))
        made = with_value(made, path, value)
    return made


_ODD = (b"\xff\xfe", b"\xef\xbb\xbf", b"\x00", b"\xed\xa0\x80", b"NaN", b"1e999", b"[" * 2000, b"9" * 5000, b'"', b"{}")


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The bytes cut, flipped, repeated, or with others put in: no UTF-8, marks of byte order, NUL, brackets."""
    made = bytearray(data)
    for _change in range(chance.randint(1, 4)):
        at = chance.randrange(len(made) or 1)
        how = chance.choice(("cut", "flip", "insert", "drop", "repeat", "flip"))
        if how == "cut":
            del made[at:]
        elif how == "flip" and made:
            made[at] ^= 1 << chance.randrange(8)
        elif how == "insert":
            made[at:at] = chance.choice((*_ODD, chance.randbytes(chance.randint(1, 12))))
        elif how == "drop":
            del made[at : at + chance.randint(1, 40)]
        else:
            made[at:at] = made[at : at + chance.randint(1, 200)]
    return bytes(made)


def as_bytes(document: t.Any) -> bytes:
    """JSON as Python writes it, NaN and halves of characters included."""
    return json.dumps(document).encode("utf-8", "surrogatepass")
