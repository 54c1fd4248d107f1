# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the names of a lost system are to say afterwards: the recovery config held against the described records. Pure.

A mistake ends the play at once, and not hours later, when everything else is back.
"""

from __future__ import annotations

import typing as t

from ..core.errors import RequestInvalid
from ..dns.record import AAAA, CNAME, A, canonical
from .full_config import OF, ONLY, RecoveryConfig
from .plan import Json


def names_afterwards(config: RecoveryConfig, records: t.Sequence[Json]) -> dict[str, dict[str, list[str]]]:
    """The values by name and type of record. What is not said has none. Raises RequestInvalid."""
    types: dict[str, list[str]] = {}
    for record in records:
        types.setdefault(str(record["name"]), []).append(str(record["type"]))
    return {name: _of_name(name, given, types[name]) for name, given in config.names.items()}


def _of_name(name: str, given: t.Mapping[str, t.Sequence[str]], described: t.Sequence[str]) -> dict[str, list[str]]:
    known = list(dict.fromkeys(described))
    if ONLY in given and len(known) > 1 and given[ONLY]:
        raise RequestInvalid(
            f"{OF}.names.{name} has one list, and {name} has records of the types {' and '.join(known)}.",
            hint=f"Write names: {{{name}: {{{', '.join(_written(type_, given[ONLY]) for type_ in known)}}}}}.",
        )
    by_type = {type_ or known[0]: list(values) for type_, values in given.items()}
    for type_, values in by_type.items():
        if type_ not in known:
            raise RequestInvalid(
                f"{OF}.names.{name} has values of the type {type_}, and no such record of {name} is described.",
                hint=f"It has: {', '.join(known)}.",
            )
        _require_fit(name, type_, values)
    return {type_: values for type_, values in by_type.items() if values}


def _require_fit(name: str, type_: str, values: t.Sequence[str]) -> None:
    if type_ == CNAME and len(values) > 1:
        raise RequestInvalid(f"{OF}.names.{name} has {len(values)} values.", hint="A CNAME leads to one name.")
    for value in values:
        try:
            canonical(type_, value)
        except RequestInvalid as error:
            raise RequestInvalid(f"{OF}.names.{name}: {error.message}", hint=error.hint) from error


def _written(type_: str, values: t.Sequence[str]) -> str:
    """What is to be written for one type, with those of *values* that can be meant by it."""
    fitting = [one for one in values if type_ == (AAAA if ":" in one else A)]
    return f"{type_}: [{', '.join(fitting) or 'ADDRESS'}]"
