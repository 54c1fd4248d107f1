# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A feature flag as a line of a file: that line and no other byte is changed, and put back as it was."""

from __future__ import annotations

import os
import re
import tempfile
import typing as t
from dataclasses import dataclass

from ..core.errors import RequestInvalid

_LARGEST = 4 * 1024 * 1024


@dataclass(frozen=True)
class EnvironmentLever:
    """*restart* is called after each change: whoever reads the file does so when it starts."""

    file: str
    key: str
    value: str
    restart: t.Callable[[], None] | None = None

    def read(self) -> dict[str, t.Any]:
        """``line`` as it stands, None when there is none; ``ends`` is whether the file ends with the end of a line."""
        text = self._text()
        found = [line for line in text.splitlines() if self._is_meant(line)]
        if len(found) > 1:
            raise RequestInvalid(
                f"{self.file} has {len(found)} lines with {self.key}; which one counts is not for us to say.",
                hint="Leave one of them.",
            )
        return {"line": found[0] if found else None, "ends": not text or text.endswith("\n")}

    def is_on(self, now: t.Mapping[str, t.Any]) -> bool:
        """As wanted."""
        return bool(now["line"] == self._line(now["line"]))

    def is_back(self, now: t.Mapping[str, t.Any], before: t.Mapping[str, t.Any]) -> bool:
        """As before."""
        return bool(now["line"] == before["line"])

    def turn_on(self, before: t.Any) -> None:
        """Replace the line, or add it behind the others."""
        text = self._text()
        now = self.read()
        if now["line"] is None:
            text += ("" if now["ends"] else "\n") + self._line(None) + "\n"
        else:
            text = self._replaced(text, self._line(now["line"]))
        self._write(text)

    def turn_back(self, before: t.Mapping[str, t.Any]) -> None:
        """Put the line back, or take it away."""
        text = self._text()
        if before["line"] is not None:
            now = self.read()
            text = self._replaced(text, before["line"]) if now["line"] is not None else f"{text}{before['line']}\n"
        else:
            kept = [line for line in text.splitlines(keepends=True) if not self._is_meant(line.rstrip("\r\n"))]
            text = "".join(kept)
            if not before["ends"] and text.endswith("\n"):
                text = text[:-1]
        self._write(text)

    def settle(self) -> None:
        """Have it read."""
        if self.restart is not None:
            self.restart()

    def pauses(self) -> t.Sequence[str]:
        """None."""
        return ()

    def _line(self, line: str | None) -> str:
        found = re.match(r"\s*export\s+", line or "")
        return f"{found[0] if found else ''}{self.key}={self.value}"

    def _is_meant(self, line: str) -> bool:
        return re.match(rf"\s*(export\s+)?{re.escape(self.key)}\s*=", line) is not None

    def _replaced(self, text: str, new: str) -> str:
        lines = text.splitlines(keepends=True)
        return "".join(
            new + line[len(line.rstrip("\r\n")) :] if self._is_meant(line.rstrip("\r\n")) else line for line in lines
        )

    def _text(self) -> str:
        try:
            with open(self.file, encoding="utf-8", newline="") as file:
                return file.read(_LARGEST)
        except (OSError, UnicodeDecodeError) as error:
            raise RequestInvalid(
                f"{self.file} can't be read: {error}.", hint=f"Run: ls -l {self.file}   It must be there, and be text."
            ) from error

    def _write(self, text: str) -> None:
        """In one step, with the owner and the mode that it has."""
        is_like = os.stat(self.file)
        folder, name = os.path.split(os.path.realpath(self.file))
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                os.fchmod(file.fileno(), is_like.st_mode & 0o7777)
                if os.geteuid() == 0:
                    os.fchown(file.fileno(), is_like.st_uid, is_like.st_gid)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, os.path.join(folder, name))
        except BaseException:
            os.unlink(temporary)
            raise
