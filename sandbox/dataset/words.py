# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cheap pseudo-random text, names, numbers and identifiers that repeat exactly."""

from __future__ import annotations

import functools
import itertools
import random
import typing as t
from datetime import UTC, datetime, timedelta

from .loaded import VERSION

if t.TYPE_CHECKING:
    from collections.abc import Iterator

# Everything in the data happened in the two years before this moment, whatever the clock says.
ANCHOR = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
_TWO_YEARS = 2 * 365 * 86400
_CORPUS_CHARACTERS = 6_000_000


def _words(text: str) -> list[str]:
    return text.split()


_COMMON = _words(
    """
    the and to of a in for is on that with it as at by from or this be are we our they not can will when all out up
    so if about more one new time day now then just who which has been would there what
    """
)
_TOPICS = _words(
    """
    family school dinner doctor appointment shopping list birthday garden kitchen holiday train ticket budget
    insurance letter teacher meeting project report deadline reminder medication focus timer break energy morning
    evening weekend laundry groceries recipe invoice payment account password backup photo album music lesson
    football practice friend neighbour grandmother cousin brother sister parents children weather winter summer
    journey hotel passport bicycle car repair battery charger phone computer screen keyboard window door paint wall
    floor lamp table chair book chapter page story idea note draft plan goal habit progress review summary question
    answer problem solution decision reason result change improve prepare finish start continue forget remember call
    write read send collect return bring clean cook walk sleep breathe rest listen explain agree discuss compare
    choose order cancel postpone confirm calm overwhelmed anxious happy tired proud quiet loud bright simple
    difficult urgent important optional private shared weekly monthly annual
    """
)
_SYLLABLES = _words("an bel cor da el fen gar hol im jo ka lin mar nor os pel qui ras sol tam ul ver wil yan zor")
GIVEN_NAMES = _words(
    """
    Ada Amir Anja Ben Carla Chen Clara David Elena Emil Fatima Felix Greta Hana Hugo Ines Ivan Jonas Kaya Lea Liam
    Lucia Mara Milan Mina Noah Nora Olga Omar Pablo Paula Priya Rosa Samir Sofia Tariq Theo Uma Viktor Yara Zoe
    Jürgen Zoë Łukasz
    """
)
FAMILY_NAMES = _words(
    """
    Abel Bauer Costa Diaz Eriksen Fischer Garcia Haddad Ito Jansen Kowalski Larsen Moreau Nguyen Okafor Peters Quinn
    Rossi Schmidt Tanaka Ueda Varga Weber Xu Yilmaz Zhang Müller Núñez Ødegård
    """
)


@functools.cache
def corpus() -> str:
    """Six million characters of prose-like text; slices of it are the texts of the data."""
    source = random.Random(f"corpus {VERSION}")
    coined = ["".join(source.choices(_SYLLABLES, k=source.randint(2, 4))) for dummy in range(1500)]
    vocabulary = _COMMON + _TOPICS + coined
    # The frequency of a word falls with its rank, as in any natural language, and words come in set phrases.
    falling = list(itertools.accumulate(1 / (rank + 2) for rank in range(len(vocabulary))))
    phrases = [
        " ".join(source.choices(vocabulary, cum_weights=falling, k=source.randint(2, 5))) for dummy in range(2000)
    ]
    elements = vocabulary + phrases
    weights = list(
        itertools.accumulate([1 / (rank + 2) for rank in range(len(vocabulary))] + [4 / 2000] * len(phrases))
    )
    words: list[str] = []
    characters = 0
    while characters < _CORPUS_CHARACTERS:
        sentence = source.choices(elements, cum_weights=weights, k=source.randint(4, 12))
        sentence[0] = sentence[0].capitalize()
        sentence[-1] += "." if source.random() < 0.9 else f" at {source.randint(7, 21)}:{source.randint(10, 59)}."
        words += sentence
        characters += sum(map(len, sentence)) + len(sentence)
    return " ".join(words)[:_CORPUS_CHARACTERS]


class Source:
    """Values for one chunk of one kind of thing; the same name and number give the same values."""

    def __init__(self, name: str, chunk: int) -> None:
        self.random = random.Random(f"{VERSION} {name} {chunk}")
        self.bits = self.random.getrandbits
        self._corpus = corpus()

    def number(self, below: int) -> int:
        """From 0 to ``below`` - 1; near enough to even for data."""
        return self.bits(32) % below

    def text(self, length: int) -> str:
        """A passage of exactly ``length`` characters, without line ends, quotes or backslashes."""
        offset = self.bits(32) % (_CORPUS_CHARACTERS - length)
        return self._corpus[offset : offset + length]

    def pick(self, choices: t.Sequence[str]) -> str:
        """One of ``choices``."""
        return choices[self.bits(32) % len(choices)]

    def uuid(self) -> str:
        """A random UUID in its usual form."""
        digits = f"{self.bits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def moment(self) -> datetime:
        """Some second of the two years before the anchor (UTC)."""
        return ANCHOR - timedelta(seconds=self.bits(32) % _TWO_YEARS)


def chunks(name: str, count: int, size: int = 1000) -> Iterator[tuple[Source, range]]:
    """``count`` numbers in ranges of ``size``, each with a source of its own."""
    for chunk, start in enumerate(range(0, count, size)):
        yield Source(name, chunk), range(start, min(start + size, count))


def numbered_uuid(kind: str, number: int) -> str:
    """The identifier of the n-th thing of a kind: others refer to it without having seen it."""
    mixed = (number * 0x9E3779B97F4A7C15F39CC0605CEDC835 + sum(map(ord, kind)) * 0xD1B54A32D192ED03) % (1 << 128)
    digits = f"{mixed:032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-b{digits[17:20]}-{digits[20:]}"
