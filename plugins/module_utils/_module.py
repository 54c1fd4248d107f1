# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Between Ansible's modules and the engine. Private to the collection; one of the two utils that import ansible."""

from __future__ import annotations

import typing as t

from ._engine.core.errors import LifeboatError
from ._engine.core.host import Host
from ._engine.core.signals import stopping_on_signals

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


class ModuleJournal:
    """Notes of the engine as Ansible shows them: warnings to the user, steps to the target's log."""

    def __init__(self, *, module: AnsibleModule) -> None:
        self._module = module

    def info(self, message: str) -> None:
        """A step worth knowing."""
        self._module.log(message)

    def warning(self, message: str) -> None:
        """Something that an operator should look at."""
        self._module.warn(message)


def run_module(module: AnsibleModule, operation: t.Callable[[Host], t.Mapping[str, t.Any]]) -> t.NoReturn:
    """Run *operation* and leave with its result, or with the one error that the engine raises.

    A failure returns the error's code, hint and details beside ``msg``, so that playbooks can decide on them.
    SIGTERM and SIGHUP end the operation with its clean-up, as SIGINT does.
    """
    try:
        with stopping_on_signals():
            result = dict(operation(Host(journal=ModuleJournal(module=module))))
    except LifeboatError as error:
        fail(module, error)
    module.exit_json(**result)


def fail(module: AnsibleModule, error: LifeboatError, **result: t.Any) -> t.NoReturn:
    """Leave with *error*; *result* is what is known all the same."""
    module.fail_json(msg=str(error), code=error.code, hint=error.hint, details=error.details, **result)


def as_diff(after: str) -> dict[str, str]:
    """What is new, as Ansible shows differences."""
    return {"before": "", "after": after + "\n"}


def as_change(before: str, after: str, *, changed: bool) -> dict[str, str]:
    """A diff of one line; without a difference where nothing is changed."""
    return {"before": f"{before if changed else after}\n", "after": f"{after}\n"}


def without_none(options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The options that were given: Ansible fills in None for the others, at every depth of dictionaries."""
    return {
        key: without_none(value) if isinstance(value, dict) else value
        for key, value in options.items()
        if value is not None
    }
