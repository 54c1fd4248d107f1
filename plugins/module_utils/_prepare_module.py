# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of a module that prepares a server to what came of it. Private to the collection."""

from __future__ import annotations

import typing as t

from ._engine.core.preparation import Prepared, PrepareRequest
from ._module import run_module, without_none

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ._engine.core.host import Host


class Prepare(t.Protocol):
    """What a database's room offers."""

    def __call__(self, request: PrepareRequest, *, host: Host) -> Prepared: ...


def prepare_options(*, kinds: t.Sequence[str]) -> dict[str, t.Any]:
    """What every module takes that prepares a server: see the fragment ``_prepare``; *kinds* are the module's own."""
    return {
        "service": {"type": "str", "required": True},
        "source": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "kinds": {"type": "list", "elements": "str", "choices": list(kinds), "default": []},
        "state_directory": {"type": "path", "default": "/var/lib/lifeboat"},
    }


def run_prepare_module(module: AnsibleModule, prepare: Prepare, *, own_options: t.Collection[str]) -> t.NoReturn:
    """Make the server ready or put everything back, say in check mode what that would be; leave with the result."""
    options = without_none(module.params)

    def operation(host: Host) -> dict[str, t.Any]:
        request = PrepareRequest(
            service=options["service"],
            source=options["source"],
            connection=options["connection"],
            administrator=options["administrator"],
            kinds=tuple(options["kinds"]),
            options={name: options[name] for name in own_options if name in options},
            absent=options["state"] == "absent",
            check=module.check_mode,
            state_directory=options["state_directory"],
        )
        prepared = prepare(request, host=host)
        for sentence in (*prepared.restart_reasons, *prepared.by_hand):
            host.journal.warning(sentence)
        before, after = prepared.as_texts()
        return {
            "changed": bool(prepared.changes),
            "diff": {"before": before, "after": after},
            **prepared.as_dict(),
        }

    run_module(module, operation)
