# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's restores: the newest verified backup of each kind beside production, by ``playbooks/restore.yml``.

The copies are real: databases on the sandbox's servers, and servers of their own in the folder that the sandbox's
``down`` empties, processes and all. Those of an earlier demo are removed before the next backup.

    python tools/demo_restores.py restore [folder of the sandbox, default .sandbox]
    python tools/demo_restores.py clear [folder of the sandbox]
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import typing as t

ROOT: t.Final = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from sandbox.ports import free_port  # noqa: E402
from sandbox.postgresql_host import clear_after_crash  # noqa: E402
from sandbox.process import end_processes_inside  # noqa: E402

Json = dict[str, t.Any]


def main(arguments: t.Sequence[str]) -> int:
    """Restore each kind and print what came of it; 1 when one failed, whose whole output is shown."""
    action, *more = arguments
    sandbox = pathlib.Path(more[0] if more else ".sandbox")
    description = json.loads((sandbox / "sandbox.json").read_text(encoding="utf-8"))
    copies = pathlib.Path(description["scratch_directory"]).parent / "copies"
    if action == "clear":
        clear(copies, description)
        return 0
    copies.parent.mkdir(mode=0o711, exist_ok=True)
    copies.mkdir(mode=0o711)
    return 0 if all(restore(sandbox, description, what, each) for what, each in restores(copies, description)) else 1


def restores(copies: pathlib.Path, description: Json) -> t.Iterator[tuple[str, Json]]:
    """What is restored, with the options of its module: nothing that exists is touched.

    The users that make backups may write nothing, so those who restore bring another one.
    """
    postgresql = description["postgresql"]
    superuser = {
        "user": postgresql["superuser"],
        "passfile": postgresql["superuser_pgpass_file"],
        "password_file": None,
    }
    yield "adhd/main/logical", {"database": "mcp_adhd", "connection": superuser}
    yield "adhd/main/base", {"data_directory": str(copies / "base"), "port": free_port(), "start": True}
    yield "family/cache/rdb", {"data_directory": str(copies / "rdb")}
    yield "family/cache/aof", {"data_directory": str(copies / "aof")}
    yield "family/main/full", {"connection": {"uri_file": description["mongodb"]["root_uri_file"]}}


def restore(sandbox: pathlib.Path, description: Json, what: str, options: Json) -> bool:
    """Run the playbook, and print the report and the way back that it ends with."""
    variables = {
        "lifeboat_restore": what,
        "lifeboat_restore_options": options,
        "lifeboat_identity_file": description["age"]["identity_file"],
        "sandbox_directory": str(sandbox.absolute()),
    }
    program = pathlib.Path(sys.executable).parent / "ansible-playbook"
    began = time.monotonic()
    done = subprocess.run(
        [str(program), "playbooks/restore.yml", "-i", "inventories/sandbox", "-e", json.dumps(variables)],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        print(done.stdout)
        return False
    for task in ("What was restored", "The way back"):
        for line in told(done.stdout, task):
            print(line)
    print(f"  the whole play took {time.monotonic() - began:.1f} s\n", flush=True)
    return True


def told(output: str, task: str) -> list[str]:
    """The lines that a debug task of the play said."""
    found = re.search(rf"^TASK \[{re.escape(task)}\] .*?=> (\{{.*?^\}})", output, re.MULTILINE | re.DOTALL)
    if found is None:
        raise SystemExit(f"The play did not say {task!r}:\n{output}")
    lines: list[str] = json.loads(found[1])["msg"]
    return lines


def clear(copies: pathlib.Path, description: Json) -> None:
    """End the servers of an earlier demo's copies and remove them, and the databases of recovery."""
    import psycopg2
    import pymongo

    if copies.exists():
        end_processes_inside(copies)
        for pid_file in copies.rglob("postmaster.pid"):
            clear_after_crash(pid_file.parent)
        shutil.rmtree(copies)
    postgresql = description["postgresql"]
    connection = psycopg2.connect(
        host=postgresql["host"],
        port=postgresql["port"],
        user=postgresql["superuser"],
        dbname="postgres",
        passfile=postgresql["superuser_pgpass_file"],
    )
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS mcp_adhd_recovery")
    connection.close()
    uri = pathlib.Path(description["mongodb"]["root_uri_file"]).read_text(encoding="utf-8").strip()
    client: pymongo.MongoClient[Json] = pymongo.MongoClient(uri)
    with client:
        for name in client.list_database_names():
            if name.endswith("_recovery"):
                client.drop_database(name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
