# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of an address of the web. No error holds more of the address than its host: the rest may be a secret."""

from __future__ import annotations

import http.client
import socket
import ssl
import typing as t
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from ..core.errors import (
    ChannelCredentialsRefused,
    ChannelRefused,
    ChannelUnreachable,
    LifeboatError,
    RequestInvalid,
)

_MOST_OF_AN_ANSWER = 64 * 1024


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST becomes a GET that nobody reads, and a token would go to another host."""

    def redirect_request(self, *_arguments: t.Any, **_options: t.Any) -> None:
        return None


def call(
    url: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: t.Mapping[str, str] | None = None,
    timeout: float,
    ca_file: str | None = None,
) -> None:
    """Call *url*, and be content with any answer of the kind 2xx.

    Raises ChannelUnreachable, ChannelCredentialsRefused, ChannelRefused, and RequestInvalid for what is no address.
    """
    host = _host(url)
    opener = urllib.request.build_opener(_NoRedirects, urllib.request.HTTPSHandler(context=tls_context(ca_file)))
    try:
        request = urllib.request.Request(url, data=body, method=method, headers=dict(headers or {}))  # noqa: S310
        with opener.open(request, timeout=timeout) as answer:
            answer.read(_MOST_OF_AN_ANSWER)
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(host, error.code) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise unreachable(host, error, timeout=timeout) from None


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Trusts the certificates of *ca_file*, or this host's. Raises RequestInvalid when they can't be read."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise RequestInvalid(
            f"The certificates of ca_file can't be read: {error.strerror or 'no certificate is in it'}.",
            hint=f"Run: openssl x509 -noout -subject -in {ca_file}",
        ) from None


def unreachable(host: str, error: Exception, *, timeout: float) -> LifeboatError:
    """The error for a *host* that could not be talked to."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return ChannelUnreachable(
            f"{host} can't be trusted: {reason.verify_message}",
            hint="Name the certificates to trust with ca_file, or mend those of the server.",
        )
    if isinstance(reason, ssl.SSLError):
        return ChannelUnreachable(
            f"{host} does not speak TLS as expected: {reason.reason or type(reason).__name__}.",
            hint="Look at scheme and port of the address.",
        )
    if isinstance(reason, socket.gaierror):
        return ChannelUnreachable(
            f"{host} is not known: {reason.strerror}.", hint=f"Run: getent hosts {host.partition(':')[0]}"
        )
    if isinstance(reason, (socket.timeout, TimeoutError)):
        return ChannelUnreachable(
            f"{host} did not answer within {timeout:g} s.", hint="Look whether it works; timeout says how long to wait."
        )
    # Messages of other errors may quote what was sent.
    told = getattr(reason, "strerror", None) or type(reason).__name__
    return ChannelUnreachable(f"{host} can't be reached: {told}.", hint="lifeboat notify --test tries again at once.")


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port, is_web = parts.hostname, parts.port, parts.scheme in ("http", "https")
    except ValueError:
        host, port, is_web = None, None, False
    if not host or not is_web or not url.isprintable() or " " in url:
        raise RequestInvalid(
            "What stands for the address is none.", hint="It must be one line that begins with https:// or http://."
        )
    return f"{host}:{port}" if port else host


def _refused(host: str, status: int) -> LifeboatError:
    if status in (401, 403, 407):
        return ChannelCredentialsRefused(
            f"{host} refuses the credentials (HTTP {status}).",
            hint="Renew the token, or the secret part of the address; then: lifeboat notify --test",
        )
    if status in (408, 425, 429) or status >= 500:
        return ChannelUnreachable(
            f"{host} can't take it now (HTTP {status}).", hint="It is sent again; look at the server if that goes on."
        )
    if 300 <= status < 400:
        return ChannelRefused(
            f"{host} sends elsewhere (HTTP {status}), and what is told follows nobody.",
            hint="Give the address that it leads to.",
        )
    return ChannelRefused(
        f"{host} does not take it (HTTP {status}).", hint="Look at path and body, then: lifeboat notify --test"
    )
