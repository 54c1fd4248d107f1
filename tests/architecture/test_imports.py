# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of the architecture hold for every file, and each rule is able to fail."""

from __future__ import annotations

import pytest

from tests.architecture import rules

LICENCE = """\
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""


def broken(rule: rules.Rule, path: str, text: str) -> list[int]:
    return [violation.line for violation in rule(rules.SourceFile.of(path, text))]


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_rule_holds_everywhere(rule: rules.Rule) -> None:
    files = rules.python_files()
    assert any(file.is_engine for file in files), "the engine was not found"
    violations = sorted(violation for file in files for violation in rule(file))
    assert not violations, "\n" + "\n".join(map(str, violations))


CORE = "plugins/module_utils/_engine/core/ids.py"
REDIS = "plugins/module_utils/_engine/redis/backup.py"
CLI = "plugins/module_utils/_engine/cli.py"
MODULE = "plugins/modules/backup_info.py"


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        pytest.param(rules.ansible_stays_outside, REDIS, "import ansible\n", id="the engine imports ansible"),
        pytest.param(
            rules.ansible_stays_outside,
            REDIS,
            "def f():\n    from ansible.module_utils.basic import AnsibleModule\n",
            id="the engine imports ansible inside a function",
        ),
        pytest.param(
            rules.ansible_stays_outside,
            REDIS,
            "from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import ids\n",
            id="the engine imports itself by its absolute name",
        ),
        pytest.param(
            rules.ansible_stays_outside,
            "plugins/module_utils/_other.py",
            "from ansible.module_utils.basic import AnsibleModule\n",
            id="a third adapter",
        ),
        pytest.param(rules.modules_import_what_is_shipped, MODULE, "import boto3\n", id="a module imports a library"),
        pytest.param(
            rules.modules_import_what_is_shipped,
            MODULE,
            "from ansible.errors import AnsibleError\n",
            id="a module imports the controller's side of Ansible",
        ),
        pytest.param(rules.libraries_wait, REDIS, "import redis\n", id="a library at the top"),
        pytest.param(
            rules.libraries_wait,
            REDIS,
            "try:\n    import redis\nexcept ImportError:\n    redis = None\n",
            id="a library at the top inside try",
        ),
        pytest.param(
            rules.libraries_wait,
            REDIS,
            "import typing as t\nif t.TYPE_CHECKING:\n    pass\nelse:\n    import redis\n",
            id="a library in the else of TYPE_CHECKING",
        ),
        pytest.param(rules.libraries_wait, REDIS, "def f():\n    import requests\n", id="a library that nobody pins"),
        pytest.param(rules.imports_point_downward, CORE, "from ..storage.base import Storage\n", id="core looks up"),
        pytest.param(
            rules.imports_point_downward,
            CORE,
            "from .. import storage\n",
            id="core looks up, and names only the folder",
        ),
        pytest.param(
            rules.imports_point_downward,
            REDIS,
            "from ..postgresql.connect import connect\n",
            id="one database imports another",
        ),
        pytest.param(
            rules.imports_point_downward,
            REDIS,
            "import typing as t\nif t.TYPE_CHECKING:\n    from ..mongodb.connect import Client\n",
            id="one database imports another for types only",
        ),
        pytest.param(
            rules.imports_point_downward,
            REDIS,
            "def f():\n    from ..operations.backup import backup\n",
            id="a database imports an operation inside a function",
        ),
        pytest.param(
            rules.imports_point_downward,
            "plugins/module_utils/_engine/storage/s3/upload.py",
            "from ...catalog.manifest import Manifest\n",
            id="a folder inside a room looks up",
        ),
        pytest.param(rules.imports_point_downward, REDIS, "from ..._module import run\n", id="it leaves the engine"),
        pytest.param(rules.imports_point_downward, REDIS, "from ..utils import x\n", id="it imports what is no room"),
        pytest.param(
            rules.imports_point_downward, "plugins/module_utils/_engine/utils/x.py", "import os\n", id="an unknown room"
        ),
        pytest.param(rules.nothing_is_imported_by_name, REDIS, "import importlib\n", id="importlib"),
        pytest.param(
            rules.nothing_is_imported_by_name, REDIS, "def f(n):\n    return __import__(n)\n", id="__import__()"
        ),
        pytest.param(rules.nothing_is_imported_by_name, MODULE, "exec('import os')\n", id="exec()"),
        pytest.param(rules.main_is_short, MODULE, "def main():\n" + "    x = 1\n" * 39, id="main() has 40 lines"),
        pytest.param(rules.main_is_short, MODULE, "def run():\n    pass\n", id="a module without main()"),
        pytest.param(
            rules.main_is_short,
            MODULE,
            "def main():\n    try:\n        f()\n    except OSError:\n        f()\n    except ValueError:\n        f()",
            id="a module with two excepts",
        ),
        pytest.param(rules.file_is_small, REDIS, "x = 1\n" * 501, id="a file of 501 lines"),
        pytest.param(rules.starts_with_the_licence, REDIS, "import os\n", id="no licence"),
        pytest.param(
            rules.starts_with_the_licence,
            "plugins/module_utils/_engine/redis/__init__.py",
            LICENCE,
            id="a package marker that is not empty",
        ),
        pytest.param(rules.nothing_is_asserted, REDIS, "def f(x):\n    assert x\n", id="assert"),
        pytest.param(rules.time_is_injected, REDIS, "import time\nx = time.time()\n", id="time.time()"),
        pytest.param(
            rules.time_is_injected,
            REDIS,
            "import datetime\nx = datetime.datetime.now(datetime.timezone.utc)\n",
            id="datetime.now()",
        ),
        pytest.param(rules.runs_on_the_oldest_python, REDIS, "Name = str | None\n", id="a union in an alias"),
        pytest.param(
            rules.runs_on_the_oldest_python,
            MODULE,
            "def f(x: int | None) -> bool:\n    return isinstance(x, int | float)\n",
            id="a union in isinstance()",
        ),
        pytest.param(
            rules.runs_on_the_oldest_python,
            REDIS,
            "import datetime\nx = datetime.datetime.fromisoformat(y)\n",
            id="fromisoformat()",
        ),
        pytest.param(rules.ansible_test_accepts_it, REDIS, "first, _ = pair\n", id="a name _"),
        pytest.param(rules.ansible_test_accepts_it, CLI, "print('done')\n", id="print()"),
        pytest.param(rules.ansible_test_accepts_it, CLI, "import sys\nsys.exit(1)\n", id="sys.exit()"),
        pytest.param(rules.ansible_test_accepts_it, REDIS, "if type(x) is int:\n    pass\n", id="type(x) is int"),
    ],
)
def test_the_rule_fails_when_it_is_broken(rule: rules.Rule, path: str, text: str) -> None:
    assert broken(rule, path, text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param(REDIS, "import os\nfrom . import connect\nfrom .facts import facts\n", id="its own room"),
        pytest.param(REDIS, "from ..core.errors import LockHeld\nfrom ..storage import base\n", id="rooms below"),
        pytest.param(
            REDIS,
            "X: int | None = None\nFLAGS = A | B | {1}\ndef f(x: int | None) -> list[str] | None: ...\n",
            id="unions in annotations",
        ),
        pytest.param(REDIS, "def f():\n    import redis\n    return redis\n", id="a library where it is used"),
        pytest.param(
            REDIS,
            "import typing as t\nif t.TYPE_CHECKING:\n    import redis\n    import pymongo\n",
            id="types of libraries",
        ),
        pytest.param(CLI, "from .operations import backup\nfrom .core.errors import LifeboatError\n", id="the command"),
        pytest.param(
            MODULE,
            "from ansible.module_utils.basic import AnsibleModule\n"
            "from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run\n"
            "def main():\n" + "    x = 1\n" * 38,
            id="a module",
        ),
        pytest.param(
            "plugins/module_utils/_module.py",
            "from ansible.module_utils.basic import AnsibleModule\nfrom ._engine.core.errors import LifeboatError\n",
            id="the adapter",
        ),
    ],
)
def test_good_code_breaks_no_rule(path: str, text: str) -> None:
    text = LICENCE + text
    assert {rule.__name__: lines for rule in rules.RULES if (lines := broken(rule, path, text))} == {}


def test_every_rule_has_a_snippet_that_breaks_it() -> None:
    marks = test_the_rule_fails_when_it_is_broken.pytestmark  # type: ignore[attr-defined]
    shown = {parameters.values[0] for mark in marks for parameters in mark.args[1]}
    assert shown == set(rules.RULES)
