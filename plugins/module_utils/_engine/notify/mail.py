# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Telling by mail."""

from __future__ import annotations

import smtplib
import ssl
import typing as t
from email.message import EmailMessage
from email.utils import format_datetime

from ..core.errors import ChannelCredentialsRefused, ChannelRefused, LifeboatError
from ..core.host import Host
from ..core.secrets import secret_from
from .channels import Channel
from .http_call import tls_context, unreachable
from .values import Notice

_LONGEST_SUBJECT = 200


def send_mail(channel: Channel, notice: Notice, *, host: Host) -> None:
    """Hand it to the mail server, for all addresses.

    Raises ChannelUnreachable, ChannelCredentialsRefused, ChannelRefused, SecretUnavailable, and RequestInvalid.
    """
    options = channel.options
    password = secret_from(options, "password").fetch(runner=host.runner)
    server, port = str(options.get("server", "localhost")), int(options.get("port", 25))
    place = f"{server}:{port}"
    message = mail_of(notice, options, host=host.name)
    context = tls_context(options.get("ca_file"))
    try:
        with _connection(server, port, options, context, name=host.name, timeout=channel.timeout) as connection:
            if options.get("starttls"):
                connection.starttls(context=context)
            if password is not None:
                connection.login(str(options["username"]), password)
            refused = connection.send_message(message)
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise _told(place, error, timeout=channel.timeout) from None
    if refused:
        raise ChannelRefused(
            f"{place} does not take it for {', '.join(sorted(refused))}; the others have it.",
            hint="Mend or remove the address in to.",
            details={"delivered": True},
        )


def mail_of(notice: Notice, options: t.Mapping[str, t.Any], *, host: str) -> EmailMessage:
    """The message. It never makes an automatic answer come back."""
    message = EmailMessage()
    # What people are told who know nothing of Lifeboat goes by its own title.
    marked = notice.title if notice.topic == "announcement" else f"[lifeboat] {notice.severity}: {notice.title}"
    subject = " ".join(marked.split())
    message["Subject"] = subject[:_LONGEST_SUBJECT]
    message["From"] = str(options.get("from") or f"lifeboat@{host}")
    message["To"] = ", ".join(str(address) for address in options["to"])
    message["Date"] = format_datetime(notice.at)
    # The same when it is sent twice, so that mail programs show one.
    message["Message-ID"] = f"<{notice.notice_id}@{host}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Lifeboat-Job"] = notice.job
    message["X-Lifeboat-Event"] = notice.event
    if notice.severity in ("critical", "high"):
        message["Importance"] = "high"
    message.set_content(notice.text + "\n")
    return message


def _connection(
    server: str, port: int, options: t.Mapping[str, t.Any], context: ssl.SSLContext, *, name: str, timeout: float
) -> smtplib.SMTP:
    if options.get("tls"):
        return smtplib.SMTP_SSL(server, port, local_hostname=name, timeout=timeout, context=context)
    return smtplib.SMTP(server, port, local_hostname=name, timeout=timeout)


def _told(place: str, error: Exception, *, timeout: float) -> LifeboatError:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return ChannelCredentialsRefused(
            f"{place} refuses username and password (SMTP {error.smtp_code}).",
            hint="Mend password_file or its like, then: lifeboat notify --test",
        )
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return ChannelRefused(
            f"{place} takes it for none of {', '.join(sorted(error.recipients))}.",
            hint="Look at the addresses in to, then: lifeboat notify --test",
        )
    if isinstance(error, smtplib.SMTPSenderRefused):
        return ChannelRefused(
            f"{place} does not take it from {error.sender} (SMTP {error.smtp_code}).",
            hint="Set from to an address that may send there, then: lifeboat notify --test",
        )
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return ChannelRefused(
            f"{place} has no STARTTLS, or no way to log in.", hint="Look at starttls, tls, port and username."
        )
    if isinstance(error, smtplib.SMTPDataError):
        return ChannelRefused(f"{place} does not take it (SMTP {error.smtp_code}).", hint="Look at its log.")
    return unreachable(place, error, timeout=timeout)
