# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's name server, for whoever is in the same name space: ``python -m tests.lab.parts.names ADDRESS...``

Says where it is and by which key it is changed, as JSON; then takes a word a line: stop, start. It ends with its input.
"""

from __future__ import annotations

import json
import sys

from sandbox.bind import Key, NameServer, Zone

ZONE, NAME, TTL = "adhd.test", "api.adhd.test", 5


def main(addresses: list[str]) -> None:
    key = Key("lifeboat")
    records = [f"api {TTL} IN A {address}" for address in addresses]
    zone = Zone(ZONE, records, f"update-policy {{ grant {key.name} name {NAME} A; }}")
    with NameServer(zones=[zone], keys=[key]) as server:
        print(json.dumps({"port": server.port, "key": key.text}), flush=True)
        for line in sys.stdin:
            word = line.strip()
            if word == "stop":
                server.stop()
            elif word == "start":
                server.start()
            print(json.dumps({"says": server.says(NAME) if server.is_running else None}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
