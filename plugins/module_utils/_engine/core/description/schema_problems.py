# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the JSON Schema finds, put into words."""

from __future__ import annotations

import typing as t

from ..errors import ConfigurationInvalid, LibraryMissing
from ..ids import is_name
from .duration import parse_duration
from .kinds import KINDS
from .problems import Path, Problem, nearest
from .recipients import check_recipient
from .schedule import parse_schedule, timezone_named
from .schema import DESCRIPTION_SCHEMA
from .schema_parts import CRON_FORMAT, DURATION_FORMAT, NAME_FORMAT, RECIPIENT_FORMAT, TIMEZONE_FORMAT

if t.TYPE_CHECKING:
    from jsonschema import FormatChecker
    from jsonschema.exceptions import ValidationError

_TYPES = {
    "object": "a mapping (key: value)",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "empty",
}


def schema_problems(data: t.Any) -> list[Problem]:
    """Everything in *data* (plain JSON values) that the schema refuses.

    Raises LibraryMissing without ``jsonschema``.
    """
    try:
        from jsonschema import Draft202012Validator, FormatChecker
    except ImportError as missing:
        raise LibraryMissing(
            "The Python library jsonschema is needed to check the description.",
            hint="Install it for the interpreter that runs Lifeboat: pip install jsonschema",
        ) from missing
    checker = FormatChecker(formats=())
    _register_formats(checker)
    validator = Draft202012Validator(DESCRIPTION_SCHEMA, format_checker=checker)
    found: dict[tuple[Path, str], Problem] = {}
    for error in validator.iter_errors(data):
        for problem in _explain(error):
            found.setdefault((problem.path, problem.text), problem)
    return list(found.values())


def _register_formats(checker: FormatChecker) -> None:
    checks: dict[str, t.Callable[[str], object]] = {
        DURATION_FORMAT: parse_duration,
        CRON_FORMAT: parse_schedule,
        TIMEZONE_FORMAT: timezone_named,
        NAME_FORMAT: check_name,
        RECIPIENT_FORMAT: check_recipient,
    }
    for name, check in checks.items():
        checker.checks(name, raises=ConfigurationInvalid)(_for_text_only(check))


def _for_text_only(check: t.Callable[[str], object]) -> t.Callable[[object], bool]:
    def checked(value: object) -> bool:
        if isinstance(value, str):
            check(value)
        return True

    return checked


def check_name(name: str) -> None:
    """Raise ConfigurationInvalid when *name* can't be the name of a service, source, repository and the like."""
    if not is_name(name):
        raise ConfigurationInvalid(
            f"{name[:70]!r} can't be a name.",
            hint="Names are 1 to 63 lower-case letters, digits, dots, dashes and underscores, a letter or digit first.",
        )


def _explain(error: ValidationError) -> t.Iterator[Problem]:
    path: Path = tuple(error.absolute_path)
    keyword, expected, found = str(error.validator), t.cast(t.Any, error.validator_value), t.cast(t.Any, error.instance)
    schema = t.cast("t.Mapping[str, t.Any]", error.schema)
    if keyword == "additionalProperties":
        yield from _unknown_keys(path, found, tuple(schema.get("properties", ())))
    elif keyword == "required":
        missing = [key for key in expected if key not in found]
        yield Problem(path, f"{_and(missing)} {'is' if len(missing) == 1 else 'are'} missing.")
    elif keyword == "oneOf":
        yield from _not_one_of(path, found, [branch["required"][0] for branch in expected])
    elif keyword == "enum":
        yield _not_in_choices(path, found, expected)
    elif keyword == "format":
        cause = error.cause
        if isinstance(cause, ConfigurationInvalid):
            yield Problem(path, cause.message, cause.hint)
    elif keyword == "type":
        yield Problem(path, _wrong_type(found, expected))
    elif keyword == "pattern" and "format" in schema:
        return  # the format says why
    elif keyword == "pattern" or keyword not in _SIMPLE:
        yield Problem(path, f"is refused by the schema ({keyword}).")
    else:
        yield Problem(path, _SIMPLE[keyword].format(expected=expected))


_SIMPLE = {
    "minimum": "must be at least {expected}.",
    "exclusiveMinimum": "must be more than {expected}.",
    "maximum": "must be at most {expected}.",
    "minLength": "is empty.",
    "minItems": "is an empty list; it needs at least {expected}.",
    "minProperties": "is empty; it needs at least {expected} key.",
    "uniqueItems": "names something twice.",
    "const": "can only be {expected}.",
}


def _unknown_keys(path: Path, found: t.Mapping[str, t.Any], known: t.Sequence[str]) -> t.Iterator[Problem]:
    for key in found:
        if key not in known:
            guess = nearest(key, known)
            allowed = f"Allowed here: {', '.join(known)}." if known else "No key is allowed here."
            yield Problem((*path, key), f"unknown key{'; ' + guess if guess else '.'}", allowed)


def _not_one_of(path: Path, found: t.Any, choices: t.Sequence[str]) -> t.Iterator[Problem]:
    if not isinstance(found, dict):
        return  # that it is no mapping is a problem of its own
    given = [key for key in choices if key in found]
    allowed = f"exactly one of {', '.join(choices)} must be given"
    yield Problem(path, f"{allowed}, not {_and(given)} together." if given else f"{allowed}.")


def _not_in_choices(path: Path, found: t.Any, choices: t.Sequence[t.Any]) -> Problem:
    words = [str(choice) for choice in choices]
    hint = ""
    if isinstance(found, str):
        if path and path[-1] == "kind":
            others = [engine for engine, kinds in KINDS.items() if found in kinds]
            hint = f"{found!r} is a kind of {_and(others)} backups." if others else ""
        hint = hint or nearest(found, words)
        shown = repr(found[:40])
    else:
        shown = "this"
    return Problem(path, f"{shown} is not one of: {', '.join(words)}.", hint[:1].upper() + hint[1:])


def _wrong_type(found: t.Any, expected: t.Any) -> str:
    wanted = [expected] if isinstance(expected, str) else list(expected)
    words = " or ".join(_TYPES[name] for name in wanted)
    if found is None:
        return f"is empty; it must be {words}, or leave the key out."
    hint = " Put it in quotes." if wanted == ["string"] and not isinstance(found, (dict, list)) else ""
    return f"must be {words}, not {_TYPES[_type_of(found)]}.{hint}"


def _type_of(value: t.Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    for kind, name in ((dict, "object"), (list, "array"), (str, "string"), (int, "integer")):
        if isinstance(value, kind):
            return name
    return "number"


def _and(words: t.Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
