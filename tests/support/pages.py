# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages whose commands are run as they stand: the shell blocks of chosen sections, in one shell, in their order.

A block in ``sh`` must succeed (``sh exit=1``: end with that status); a block in ``text`` after it is what it prints:
each of its lines, in that order, among others. There, ``…`` stands for anything and $NAME for the shell's variable.
"""

from __future__ import annotations

import re
import subprocess
import typing as t
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(\S*) *(.*)$")
_HEADING = re.compile(r"^#+ +(.*?) *$")
_EXIT = re.compile(r"exit=(\d+)")


@dataclass
class Block:
    """One block of commands; *place* is for messages."""

    section: str
    place: str
    script: str
    status: int = 0
    expected: str | None = None


@dataclass(frozen=True)
class Page:
    """The blocks of one page, by its sections."""

    name: str
    blocks: tuple[Block, ...]

    @property
    def sections(self) -> tuple[str, ...]:
        """The sections that have commands."""
        return tuple(dict.fromkeys(block.section for block in self.blocks))

    def run(
        self,
        sections: t.Sequence[str],
        *,
        environment: t.Mapping[str, str],
        timeout: float = 240,
        shell: t.Sequence[str | Path] = ("bash",),
        folder: Path | None = None,
    ) -> str:
        """Run the commands of *sections*, in that order; and return what they printed; fails at the first surprise.

        *shell* reads them from its standard input, in *folder*: that of another machine, for one.
        """
        chosen: list[Block] = []
        for section in sections:
            found = [block for block in self.blocks if block.section == section]
            assert found, f"{self.name} has no commands under {section!r}; it has: {', '.join(self.sections)}"
            chosen += found
        script = "exec 2>&1\nset -eu -o pipefail\n" + "".join(
            _script(number, block) for number, block in enumerate(chosen)
        )
        done = subprocess.run(
            shell,
            input=script,
            env=dict(environment),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        printed = done.stdout
        for number, block in enumerate(chosen):
            said = _between(printed, f"::begin {number}\n", f"::end {number}\n")
            assert said is not None, f"{block.place}: a command failed ({done.returncode}).\n{printed[-4000:]}"
            wanted = _between(printed, f"::want {number}\n", f"::wanted {number}\n")
            if wanted is not None:
                _require_lines(block, wanted, said)
        assert done.returncode == 0, printed[-4000:]
        return printed


def read_page(path: Path) -> Page:
    """Read a page of Markdown."""
    return parse_page(path.read_text(encoding="utf-8"), name=path.name)


def parse_page(text: str, *, name: str) -> Page:
    """The same from its text."""
    blocks: list[Block] = []
    section, kind, lines = "", None, []
    is_answer = False  # only a block that follows its commands, with words between them at most
    for number, line in enumerate(text.splitlines(), start=1):
        fence = _FENCE.match(line)
        if kind is None and fence is not None:
            kind, lines = (fence[1] or "plain", fence[2]), []
        elif kind is not None and line == "```":
            body = "\n".join(lines)
            if kind[0] == "sh":
                status = _EXIT.search(kind[1])
                blocks.append(Block(section, f"{name}, line {number}", body, int(status[1]) if status else 0))
            elif kind[0] == "text" and is_answer:
                blocks[-1].expected = body
            is_answer = kind[0] == "sh"
            kind = None
        elif kind is not None:
            lines.append(line)
        elif _HEADING.match(line):
            section, is_answer = t.cast("re.Match[str]", _HEADING.match(line))[1], False
    assert kind is None, f"{name}: a block has no end"
    return Page(name=name, blocks=tuple(blocks))


def _script(number: int, block: Block) -> str:
    commands = block.script
    if block.status:
        commands = f"status=0\n(\n{commands}\n) || status=$?\ntest $status = {block.status}"
    wanted = ""
    if block.expected is not None:
        wanted = (
            f"echo '::want {number}'\ncat <<END_OF_WANTED\n{block.expected}\nEND_OF_WANTED\necho '::wanted {number}'\n"
        )
    return f"echo '::begin {number}'\n{commands}\necho '::end {number}'\n{wanted}"


def _between(text: str, start: str, end: str) -> str | None:
    _before, found, rest = text.partition(start)
    inside, ended, _after = rest.partition(end)
    return inside if found and ended else None


def _require_lines(block: Block, wanted: str, said: str) -> None:
    lines = iter(said.splitlines())
    for want in wanted.splitlines():
        pattern = re.compile(r"\s+".join(_pattern(word) for word in want.split()))
        if want.strip() in ("", "…"):
            continue
        assert any(pattern.search(line) for line in lines), (
            f"{block.place}: the page promises the line\n  {want}\nand the commands printed\n{said}"
        )


def _pattern(word: str) -> str:
    return ".*".join(re.escape(part) for part in word.split("…"))
