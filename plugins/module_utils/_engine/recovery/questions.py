# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions as data: what a user asks of restored data, and what the right answer is. Pure."""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass, field

from ..core.errors import RequestInvalid

Answer = t.Union[int, float, str, bool, None]
#: A known answer, or two between which it was: asked of a source that may have been written to in between.
Reference = t.Union[Answer, t.Sequence[Answer]]
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
NOTED = "noted"
_WAYS = ("sql", "count", "find", "aggregate", "redis")
_EXPECTATIONS = ("min", "max", "equals", "within_percent_of", "within_count_of")
_OCCASIONS = ("verification", "recovery")
_KEYS = ("name", "description", "ask", "database", *_WAYS, *_EXPECTATIONS)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: *state* is passed, failed or skipped, *message* says it in a sentence."""

    name: str
    state: str
    message: str
    expected: t.Any = None
    found: t.Any = None

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "name": self.name,
            "state": self.state,
            "message": self.message,
            "expected": self.expected,
            "found": self.found,
        }


@dataclass(frozen=True)
class Question:
    """One question. *way* is sql, count, find, aggregate or redis; *what* is its argument as written."""

    name: str
    way: str
    what: t.Any
    database: str | None = None
    ask: tuple[str, ...] = ("verification", "recovery")
    minimum: float | None = None
    maximum: float | None = None
    equals: Answer = None
    within_percent_of: t.Mapping[str, t.Any] = field(default_factory=dict)
    within_count_of: t.Mapping[str, t.Any] = field(default_factory=dict)

    @property
    def needs_note(self) -> bool:
        """Whether it is compared with the answer at backup time."""
        return any(rule.get("reference") == NOTED for rule in (self.within_percent_of, self.within_count_of))

    def judge(self, answer: Answer, *, references: t.Mapping[str, Reference]) -> Check:
        """Compare the answer with what is right.

        *references* holds the answers of "noted", "previous" and "primary" to the same question, where they are known;
        a comparison with one that isn't known is skipped, and says so. What lies between two known answers differs by
        nothing.
        """
        if self.minimum is not None or self.maximum is not None:
            problem = _out_of_range(answer, self.minimum, self.maximum)
            if problem:
                return self._check(FAILED, f"{self.name}: {answer!r} is {problem}", answer)
        if self.equals is not None and not _is_same(answer, self.equals):
            return self._check(FAILED, f"{self.name}: {answer!r} is not {self.equals!r}", answer)
        compared = self.equals is not None or self.minimum is not None or self.maximum is not None
        skipped = []
        for rule, unit in ((self.within_percent_of, "percent"), (self.within_count_of, "count")):
            if not rule:
                continue
            known = _numbers(references.get(rule["reference"]))
            if known is None:
                skipped.append(str(rule["reference"]))
                continue
            if not _is_number(answer):
                return self._check(FAILED, f"{self.name}: {answer!r} is no number", answer)
            difference = _distance(float(answer or 0), known)
            allowed = float(rule[unit]) * (max(abs(known[0]), abs(known[1])) / 100 if unit == "percent" else 1)
            if math.isinf(difference) or difference > allowed:
                told = f"{known[0]:.15g}" if known[0] == known[1] else f"{known[0]:.15g} to {known[1]:.15g}"
                message = (
                    f"{self.name}: {answer!r} differs from {rule['reference']} ({told}) by {difference:g}, "
                    f"more than {allowed:g}"
                )
                return self._check(FAILED, message, answer)
            compared = True
        if skipped:
            return self._check(
                PASSED if compared else SKIPPED,
                f"{self.name}: {answer!r}; nothing known to compare: {', '.join(skipped)}",
                answer,
            )
        # It answered, and nobody said which answer would be wrong: that is a figure to read, and no proof.
        only = "" if compared else "; only reported, for nothing is expected"
        return self._check(PASSED if compared else SKIPPED, f"{self.name}: {answer!r}{only}", answer)

    def _check(self, state: str, message: str, answer: Answer) -> Check:
        expected = {
            key: value
            for key, value in (
                ("min", self.minimum),
                ("max", self.maximum),
                ("equals", self.equals),
                ("within_percent_of", dict(self.within_percent_of) or None),
                ("within_count_of", dict(self.within_count_of) or None),
            )
            if value is not None
        }
        return Check(name=self.name, state=state, message=message, expected=expected or None, found=answer)


def question_from(description: t.Mapping[str, t.Any]) -> Question:
    """From the description's ``verify.questions`` entry. Raises RequestInvalid for what can't be asked."""
    name = description.get("name")
    if not isinstance(name, str) or not name:
        raise RequestInvalid("A question has no name.", hint="Give each question a name; reports use it.")
    unknown = sorted(str(key) for key in description if key not in _KEYS)
    if unknown:
        raise RequestInvalid(
            f"The question {name} has no option {', '.join(unknown)}.", hint=f"Known: {', '.join(_KEYS)}."
        )
    ways = [way for way in _WAYS if description.get(way) is not None]
    if len(ways) != 1:
        raise RequestInvalid(
            f"The question {name} must ask in one way, not {len(ways)}.", hint=f"Give one of {', '.join(_WAYS)}."
        )
    for limit in ("min", "max"):
        if description.get(limit) is not None and not _is_number(description[limit]):
            raise RequestInvalid(f"The question {name}: {limit} is {description[limit]!r}, no number.")
    equals = description.get("equals")
    if equals is not None and not isinstance(equals, (bool, str)) and not _is_number(equals):
        raise RequestInvalid(f"The question {name}: equals is {equals!r}, no number, text or truth value.")
    for rule, unit in (("within_percent_of", "percent"), ("within_count_of", "count")):
        _check_rule(description.get(rule), f"The question {name}: {rule}", unit=unit)
    ask = description.get("ask") or _OCCASIONS
    if not isinstance(ask, (list, tuple)) or not all(one in _OCCASIONS for one in ask):
        raise RequestInvalid(f"The question {name}: ask is {ask!r}, no list of {' and '.join(_OCCASIONS)}.")
    return Question(
        name=name,
        way=ways[0],
        what=description[ways[0]],
        database=description.get("database"),
        ask=tuple(ask),
        minimum=description.get("min"),
        maximum=description.get("max"),
        equals=description.get("equals"),
        within_percent_of=description.get("within_percent_of") or {},
        within_count_of=description.get("within_count_of") or {},
    )


def _check_rule(given: t.Any, rule: str, *, unit: str) -> None:
    if given in (None, {}):
        return
    if (
        not isinstance(given, t.Mapping)
        or given.get("reference") not in (NOTED, "previous", "primary")
        or not _is_number(given.get(unit))
        or not 0 <= given[unit] < float("inf")
    ):
        raise RequestInvalid(f"{rule} needs a reference (noted, previous or primary) and {unit}, 0 or more.")


def _numbers(reference: Reference) -> tuple[float, float] | None:
    """The lowest and the highest that are known; None where one of them is no number."""
    known = list(reference) if isinstance(reference, (list, tuple)) else [reference]
    if not known or not all(_is_number(one) for one in known):
        return None
    numbers = [float(t.cast("float", one)) for one in known]
    return min(numbers), max(numbers)


def _distance(number: float, known: tuple[float, float]) -> float:
    """How far it is outside; infinite (and so never right) where infinities are compared."""
    low, high = known
    if math.isinf(number) or math.isinf(low) or math.isinf(high):
        return math.inf
    return max(low - number, number - high, 0.0)


def _is_same(answer: Answer, wanted: Answer) -> bool:
    """Whether they are equal; Python takes True for 1, a database does not."""
    return isinstance(answer, bool) is isinstance(wanted, bool) and answer == wanted


def _out_of_range(answer: Answer, minimum: float | None, maximum: float | None) -> str | None:
    if not _is_number(answer):
        return "no number"
    number = float(answer or 0)
    if minimum is not None and number < minimum:
        return f"less than {minimum:g}"
    if maximum is not None and number > maximum:
        return f"more than {maximum:g}"
    return None


def _is_number(value: t.Any) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and not (isinstance(value, float) and math.isnan(value))
    )
