# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real browser without a window, spoken to through a pair of pipes (the DevTools protocol)."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import typing as t

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PATIENCE = 120

Json = dict[str, t.Any]


def program() -> str | None:
    """The browser of this machine; LIFEBOAT_BROWSER names another one."""
    named = os.environ.get("LIFEBOAT_BROWSER")
    return named or next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Browser:
    """One page of it. *requests* are the addresses that were asked for since the last :meth:`open`."""

    def __init__(self, to: t.BinaryIO, back: t.BinaryIO) -> None:
        self._to = to
        self._back = back
        self._number = 0
        self._session: str | None = None
        self.requests: list[str] = []
        self._seen: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")

    def open(
        self, page: pathlib.Path, *, width: int, height: int = 900, scheme: str = "light", media: str = ""
    ) -> None:
        """Show *page* in a window of that size, for people who like it light or dark; *media* may be print."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        wish = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", media=media, features=[wish])
        self.requests.clear()
        self._seen.clear()
        self.call("Page.navigate", url=page.as_uri())
        while "Page.loadEventFired" not in self._seen:
            self._read()

    def ask(self, expression: str) -> t.Any:
        """The value of an expression in the page; also where the page itself allows no script."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def picture(self, path: pathlib.Path) -> pathlib.Path:
        """The whole page as a PNG."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))
        return path

    def paper(self) -> bytes:
        """The page as a printer would have it, in PDF."""
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=False)["data"])

    def call(self, method: str, **parameters: t.Any) -> Json:
        """What the browser answers."""
        self._number += 1
        message: Json = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while (answer := self._read()).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        return t.cast("Json", answer["result"])

    def _read(self) -> Json:
        data = bytearray()
        while (byte := self._back.read(1)) != b"\0":
            assert byte, "the browser is gone"
            data += byte
        answer: Json = json.loads(data)
        self._seen.append(answer.get("method", ""))
        if answer.get("method") == "Network.requestWillBeSent":
            self.requests.append(answer["params"]["request"]["url"])
        return answer


@contextlib.contextmanager
def browser(folder: pathlib.Path) -> t.Iterator[Browser]:
    """Start it with a profile of its own in *folder*, and stop it again."""
    found = program()
    assert found, "no browser"
    to_read, to_write = os.pipe()
    back_read, back_write = os.pipe()

    def give() -> None:
        # As the protocol wants them. Copies first: one of them may be 3 or 4 already.
        copies = os.dup(to_read), os.dup(back_write)
        os.dup2(copies[0], 3)
        os.dup2(copies[1], 4)

    arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    quiet = ["--disable-background-networking", "--disable-component-update", "--hide-scrollbars"]
    process = subprocess.Popen(
        [found, *arguments, *quiet, f"--user-data-dir={folder / 'profile'}", "--remote-debugging-pipe"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
        preexec_fn=give,  # noqa: PLW1509 no thread of the tests is in the way: it only copies descriptors
        close_fds=False,
    )
    os.close(to_read)
    os.close(back_write)
    try:
        with os.fdopen(to_write, "wb") as to, os.fdopen(back_read, "rb") as back:
            yield Browser(to, back)
    finally:
        process.terminate()
        process.wait(timeout=_PATIENCE)
