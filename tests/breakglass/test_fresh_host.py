# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fresh host itself: every way to it gives the same, and nothing of a run is left for the next."""

from __future__ import annotations

import pytest

from tests.breakglass.fresh_host import NAME_SPACES, PODMAN, fresh_host
from tests.breakglass.guide import commands_in, script_of

pytestmark = pytest.mark.timeout(1200)
_MARKDOWN = """\
# Title

```sh
cd 20261121T020000Z-4f2c91
```

It must say:

```
db0: 5 keys
```

## Next

    first
    second

or

    another way

```sh
cat <<'END'
    not a block of its own
END
```
"""


@pytest.mark.parametrize("way", [PODMAN, NAME_SPACES])
def test_every_way_gives_a_throw_away_host(way: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    bucket = tmp_path_factory.mktemp("bucket")
    (bucket / "backup").write_text("bytes")
    host = fresh_host(tmp_path_factory.mktemp("work"), way=way)
    script = """
set -eu
cat /bucket/backup; echo
touch /bucket/no 2> /dev/null && exit 9
su postgres -s /bin/bash
set -eu
id -un
psql -XAtc 'SELECT 1' 2>&1 | head -n 1 | cut -c 1-12
redis-server --port 7777 --daemonize yes --dir /tmp > /dev/null
until [ "$(redis-cli -p 7777 PING 2> /dev/null)" = PONG ]; do sleep 0.1; done
redis-cli -p 7777 SHUTDOWN NOSAVE
test ! -e /tmp/mark
touch /tmp/mark
command -v lifeboat python3 perl6 || echo none of them
"""
    for _turn in range(2):
        assert host.run(script, bucket=bucket).splitlines() == ["bytes", "postgres", "psql: error:", "none of them"]
    with pytest.raises(AssertionError, match="7"):
        host.run("exit 7", bucket=bucket)


def test_commands_are_taken_word_for_word() -> None:
    blocks = [(block.heading, block.text) for block in commands_in(_MARKDOWN)]
    assert blocks == [
        ("Title", "cd 20261121T020000Z-4f2c91"),
        ("Next", "first\nsecond"),
        ("Next", "another way"),
        ("Next", "cat <<'END'\n    not a block of its own\nEND"),
    ]
    script = script_of(_MARKDOWN, folder="a/b/c", without=["another"], between={"first": "mine"})
    assert "another way" not in script
    assert script.index("mine") < script.index("first\nsecond")
    with pytest.raises(AssertionError, match="no block has nothing"):
        script_of(_MARKDOWN, folder="a/b/c", between={"nothing": "x"})
