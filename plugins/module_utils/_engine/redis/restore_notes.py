# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of RESTORE.md, in the server's own tools.

The order avoids what loses data: with ``appendonly yes`` a server ignores dump.rdb, starts empty and later saves that
emptiness over it; a server that is told to stop saves over a file that was put there before; a replica that comes back
before its primary, or a primary that comes back empty, wipes the others.
"""

from __future__ import annotations

import typing as t

from .facts import ServerFacts
from .rdb import RdbFacts, needed_server

RDB_PAYLOAD = "dump.rdb"
AOF_PAYLOAD = "appendonly.tar"

_SETTINGS = """\
Everything below runs as root on the host of the target server. Set these first:

```sh
DATA=${{DATA:-{data}}}                       # CONFIG GET dir
CONF=${{CONF:-/etc/{tool}/{tool}.conf}}
OWNER=${{OWNER:-{tool}}}                     # the user that the server runs as
CLI=${{CLI:-{tool}-cli}}                     # with -p, --user, --tls as needed; the password in REDISCLI_AUTH
START=${{START:-systemctl start {unit}}}
STOP=${{STOP:-systemctl stop {unit}}}
```

Has the target replicas, or Sentinels that watch it? Stop those first, and start them again when everything is done: a
replica is emptied when its primary comes back empty, and a failover in the middle undoes the restore.
"""

_ASIDE = """\
Stop the server and move its old data aside. It is the way back: delete it when the restored server has proved itself.
A server that still answers would write over what is put in place, so wait until it doesn't:

```sh
$STOP
while $CLI PING >/dev/null 2>&1; do echo "It still runs: stop it by other means, now."; sleep 2; done
mkdir "$DATA/before-restore"
for old in {old}; do
  if [ -e "$DATA/$old" ]; then mv "$DATA/$old" "$DATA/before-restore/"; fi
done
```
"""

_RDB = """\
The snapshot was taken from {flavour} {version}. It is RDB version {rdb_version}: the target must be {needs} or later.
{modules}
{settings}
Unpack and check beside the old data, before anything is stopped:

```sh
FILE=${{FILE:-{file}}}                          # CONFIG GET dbfilename
umask 077
{{fetch:{payload}}} > "$DATA/restored.rdb"
{tool}-check-rdb "$DATA/restored.rdb"
{tool}-server --version
```

{aside}
Put the snapshot in place, and start the server by hand with append-only file and save points off. With
`appendonly yes` it would ignore the snapshot and start empty.

```sh
mv "$DATA/restored.rdb" "$DATA/$FILE"
chown "$OWNER": "$DATA/$FILE"
setpriv --reuid="$OWNER" --regid="$(id -g "$OWNER")" --init-groups \\
  {tool}-server "$CONF" --appendonly no --save '' --dbfilename "$FILE" --daemonize yes --supervised no
until [ "$($CLI PING)" = PONG ]; do sleep 1; done
$CLI INFO keyspace
```

It must say the same as on the source, but for keys that have expired since:

```
{counts}
```

{append_only}

```sh
$CLI SHUTDOWN NOSAVE
while $CLI PING >/dev/null 2>&1; do sleep 1; done
$START
```
"""

_TURN_ON_AOF = """\
The source keeps an append-only file. When the target does too (`appendonly yes` in its configuration), let it write one
now, or it starts empty the next time:

```sh
$CLI CONFIG SET appendonly yes
until $CLI INFO persistence | tr -d '\\r' | grep -qx aof_rewrite_in_progress:0 &&
  $CLI INFO persistence | tr -d '\\r' | grep -qx aof_rewrite_scheduled:0; do sleep 1; done
$CLI INFO persistence | tr -d '\\r' | grep -x aof_last_bgrewrite_status:ok
```

Then stop this server and start the service:"""

_NO_AOF = """\
The source keeps no append-only file. When the target does, run `CONFIG SET appendonly yes` now and wait until
`INFO persistence` says `aof_rewrite_in_progress:0`. Then stop this server and start the service:"""

_AOF = """\
The append-only files were taken from {flavour} {version}; the target must be the same or later.{torn}

{settings}
Unpack and check beside the old data, before anything is stopped:

```sh
umask 077
mkdir "$DATA/restored"
{{fetch:{payload}}} | tar -x -C "$DATA/restored"
{tool}-check-aof "$DATA/restored/{check}"
```

{aside}
Put the files in place:

```sh
mv "$DATA/restored/"* "$DATA/"
rmdir "$DATA/restored"
chown -R "$OWNER": "$DATA/{top}"
```

The target's configuration must say `appendonly yes`{names}. Then start it:

```sh
$START
until [ "$($CLI PING)" = PONG ]; do sleep 1; done
$CLI INFO keyspace
```
"""

_UNITS = {"redis": "redis-server", "valkey": "valkey-server"}


def rdb_restore_commands(facts: ServerFacts, *, rdb: RdbFacts, keyspace: t.Mapping[str, t.Mapping[str, int]]) -> str:
    """How to load the snapshot into a server."""
    tool = _tool(facts)
    return _RDB.format(
        flavour=facts.flavour.capitalize(),
        version=facts.version,
        counts="\n".join(_count(name, counts) for name, counts in keyspace.items()) or "(no keys)",
        rdb_version=rdb.head.version,
        needs=needed_server(rdb.head),
        modules=f"It needs the modules {', '.join(facts.modules)}.\n" if facts.modules else "",
        settings=_settings(facts),
        payload=RDB_PAYLOAD,
        tool=tool,
        file=_quotable((facts.settings or {}).get("dbfilename", "dump.rdb")),
        aside=_ASIDE.format(old=f'"$FILE" {_old_files(facts)}'),
        append_only=_TURN_ON_AOF if facts.append_only else _NO_AOF,
    )


def aof_restore_commands(facts: ServerFacts, *, manifest_name: str | None, torn: int) -> str:
    """How to load the append-only files into a server; *torn* bytes at the end belong to no whole command."""
    settings = facts.settings or {}
    folder, file = settings.get("appenddirname"), settings.get("appendfilename", "appendonly.aof")
    check = manifest_name or file
    names = f", `appendfilename {file}`" + (f" and `appenddirname {folder}`" if folder else "")
    note = (
        f" The last {torn} bytes are a command that was being written: the check complains, and the server drops it "
        "(`aof-load-truncated yes`, the default)."
    )
    return _AOF.format(
        flavour=facts.flavour.capitalize(),
        version=facts.version,
        torn=note if torn else "",
        settings=_settings(facts),
        payload=AOF_PAYLOAD,
        tool=_tool(facts),
        check=_quotable(check),
        aside=_ASIDE.format(old=_old_files(facts)),
        top=_quotable(folder or file),
        names=names,
    )


def _settings(facts: ServerFacts) -> str:
    tool = _tool(facts)
    return _SETTINGS.format(data=f"/var/lib/{tool}", tool=tool, unit=_UNITS[tool])


def _old_files(facts: ServerFacts) -> str:
    settings = facts.settings or {}
    names = ["dump.rdb", "appendonlydir", "appendonly.aof"]
    names += [settings.get(key, "") for key in ("dbfilename", "appenddirname", "appendfilename")]
    return " ".join(f'"{_quotable(name)}"' for name in dict.fromkeys(names) if name)


def _tool(facts: ServerFacts) -> str:
    return "valkey" if facts.flavour == "valkey" else "redis"


def _quotable(text: str) -> str:
    """For use between double quotes in a shell; braces would be taken for a payload."""
    shown = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join("\\" + letter if letter in '"\\$`' else letter for letter in shown)


def _count(name: str, counts: t.Mapping[str, int]) -> str:
    return f"{name}:keys={counts['keys']},expires={counts['expires']}"
