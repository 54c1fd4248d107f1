# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to a restored data set: one command that only reads, and one answer."""

from __future__ import annotations

import contextlib
import functools
import shlex
import typing as t

from ..core.errors import LifeboatError, QuestionFailed
from ..core.runner import Runner
from ..recovery.questions import Answer, Question
from .connection import RedisConnection
from .resp import Reply, RespClient

# Commands that may only look, and that come back by themselves.
_WANTED = b"readonly"
_UNWANTED = (b"write", b"admin", b"blocking", b"pubsub")


def ask(client: RespClient, question: Question) -> Answer:
    """The answer to ``redis: [GET, key]``: numbers as numbers, texts as texts, of a list its length.

    Raises QuestionFailed for commands that write, administer or wait, and for what the server refuses.
    """
    words = _words(question)
    try:
        client.command("SELECT", _database(question))
        _refuse_unless_reading(client, words, name=question.name)
        reply = client.command(*words)
    except QuestionFailed:
        raise
    except LifeboatError as error:
        raise _failed(question.name, error.message) from error
    return _answer(reply, as_text=isinstance(question.equals, str))


@contextlib.contextmanager
def asking(connection: t.Mapping[str, t.Any], runner: Runner) -> t.Iterator[t.Callable[[Question], Answer]]:
    """Ask the server of *connection* itself, as its restored copy will be asked. Raises what connecting raises."""
    client = RedisConnection.from_description(connection).open(runner=runner)
    try:
        yield functools.partial(ask, client)
    finally:
        client.close()


def _words(question: Question) -> list[str]:
    if question.way != "redis":
        raise _failed(question.name, f"a Redis backup can't be asked in {question.way}")
    what = question.what
    try:
        words = shlex.split(what) if isinstance(what, str) else [_word(part) for part in what]
    except (TypeError, ValueError) as error:
        raise _failed(question.name, f"{what!r} is no command ({error})") from error
    if not words:
        raise _failed(question.name, "there is no command")
    return words


def _word(part: t.Any) -> str:
    if isinstance(part, bool) or not isinstance(part, (str, int, float)):
        raise TypeError(f"{part!r} is neither text nor number")
    return str(part)


def _database(question: Question) -> int:
    text = str(question.database if question.database is not None else 0)
    digits = text.removeprefix("db")
    if not digits.isdigit():
        raise _failed(question.name, f"{text!r} is no database; write a number")
    return int(digits)


def _refuse_unless_reading(client: RespClient, words: t.Sequence[str], *, name: str) -> None:
    flags = _flags(client, words[0])
    if not flags and len(words) > 1:  # since Redis 7.0 "OBJECT ENCODING" has its own
        flags = _flags(client, f"{words[0]}|{words[1]}")
    if _WANTED not in flags or any(flag in flags for flag in _UNWANTED):
        raise _failed(name, f"{words[0].upper()} is no command that only reads", hint="Ask with GET, DBSIZE, SCARD ...")


def _flags(client: RespClient, command: str) -> tuple[bytes, ...]:
    reply = client.command("COMMAND", "INFO", command)
    entry = reply[0] if isinstance(reply, list) and reply else None
    if not isinstance(entry, list) or len(entry) < 3 or not isinstance(entry[2], list):
        return ()
    return tuple(flag for flag in entry[2] if isinstance(flag, bytes))


def _answer(reply: Reply, *, as_text: bool) -> Answer:
    if reply is None or isinstance(reply, int):
        return reply
    if not isinstance(reply, bytes):
        return len(reply)
    text = reply.decode("utf-8", "replace")
    if as_text:
        return text
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _failed(name: str, why: str, *, hint: str = "") -> QuestionFailed:
    return QuestionFailed(
        f"The question {name} can't be asked: {why}.",
        hint=hint or "Questions to Redis look like {name: users, redis: [SCARD, users], min: 1}.",
        details={"question": name},
    )
