# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking for secrets where none may be: in the command lines of all processes while a job runs, again and again, and
in what it left behind (logs, manifests, results, state).
"""

from __future__ import annotations

import base64
import json
import pathlib
import shlex
import threading
import time
import typing as t
import urllib.parse


@t.final
class SecretScan:
    """A context manager: ``found`` holds each command line with one of *secrets* in whatever spelling, ``programs`` the
    names of the programs that it saw, ``samples`` how often it looked.

    A scan that did not see the dump run proves nothing: name its programs to :meth:`assert_clean`.
    """

    def __init__(self, secrets: t.Sequence[str], *, interval: float = 0.01) -> None:
        self.found: list[str] = []
        self.programs: set[str] = set()
        self.samples = 0
        self._secrets = [spelling for secret in secrets for spelling in spellings(secret)]
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="secret scan")

    def assert_clean(self, *programs: str) -> None:
        """Fail when a secret was seen, or when one of *programs* was not, so that nothing was proven."""
        assert self.samples, "the scan never looked"
        unseen = set(programs) - self.programs
        assert not unseen, f"the scan did not see {', '.join(sorted(unseen))} run"
        assert not self.found, "a secret stood in a command line: " + "; ".join(sorted(set(self.found)))

    def __enter__(self) -> SecretScan:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
                self._look(path)
            self.samples += 1
            time.sleep(self._interval)

    def _look(self, path: pathlib.Path) -> None:
        try:
            command = path.read_bytes()
        except OSError:
            return  # it has ended
        self.programs.add(command.split(b"\0")[0].decode("utf-8", "replace").rsplit("/", 1)[-1])
        if any(secret in command for secret in self._secrets):
            self.found.append(command.replace(b"\0", b" ").decode("utf-8", "replace"))


def spellings(secret: str) -> list[bytes]:
    """The secret as it may stand in text: plain, in a URI (also in part), in JSON, in a shell's quotes, in Base64."""
    plain = secret.encode()
    # Three alignments: what stands before the secret shifts its Base64. The ends depend on neighbours and are cut.
    aligned = [base64.b64encode(b"\0" * shift + plain)[4 if shift else 0 : -4] for shift in range(3)]
    found = [
        plain,
        urllib.parse.quote(secret, safe="").encode(),
        urllib.parse.quote(secret).encode(),
        urllib.parse.quote_plus(secret).encode(),
        json.dumps(secret)[1:-1].encode(),
        json.dumps(secret, ensure_ascii=False)[1:-1].encode(),
        shlex.quote(secret).encode(),
        *(each for each in aligned if len(each) >= 8),
    ]
    return list(dict.fromkeys(found))


def secrets_in(secrets: t.Iterable[str], text: str | bytes) -> list[str]:
    """Those of *secrets* that stand in *text* in whatever spelling."""
    content = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return [secret for secret in secrets if any(spelling in content for spelling in spellings(secret))]


def files_with_secrets(secrets: t.Sequence[str], *places: str | pathlib.Path) -> list[str]:
    """Every file at or below *places* (logs, repositories, state directories) that holds or is named after a secret."""
    found = []
    for place in map(pathlib.Path, places):
        assert place.exists(), f"there is no {place} to look into"
        for path in [place, *sorted(place.rglob("*"))]:
            in_name = secrets_in(secrets, str(path))
            in_content = secrets_in(secrets, path.read_bytes()) if path.is_file() and not path.is_symlink() else []
            if in_name or in_content:
                found.append(str(path))
    return found
