# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the option ``connection`` for PostgreSQL. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    """One fragment."""

    DOCUMENTATION = r"""
options:
  connection:
    description: How to reach the server. What is left out is libpq's default.
    type: dict
    default: {}
    suboptions:
      host:
        description: Host name, address, or the folder of the socket.
        type: str
      port:
        description: The port.
        type: int
      user:
        description: The role.
        type: str
      database:
        description: The database to look at the cluster from.
        type: str
      password_file:
        description: A file on the target with the password; readable by the user who runs the module, mode 0600.
        type: path
      password_env:
        description: The name of an environment variable of the target with the password.
        type: str
      password_command:
        description: A command on the target that prints the password; it is run without a shell.
        type: str
      password:
        description: The password itself. Prefer one of the references.
        type: str
      passfile:
        description: A password file of libpq on the target (lines of C(host:port:database:user:password)).
        type: path
      service:
        description: A service of libpq's connection service file.
        type: str
      sslmode:
        description: As libpq takes it.
        type: str
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
      sslrootcert:
        description: Certificates of authorities to trust.
        type: path
      sslcert:
        description: The client's certificate.
        type: path
      sslkey:
        description: The client's private key.
        type: path
      connect_timeout:
        description: Seconds to wait for a connection; 10 when left out.
        type: int
      bin_directory:
        description: Folder with C(pg_dump) and C(pg_basebackup), when they are not where the distribution puts them.
        type: path
"""

    # The same again for the one who prepares a server; typed, for the YAML lint of ansible-test takes literals only.
    ADMINISTRATOR: str = DOCUMENTATION.replace("  connection:\n", "  administrator:\n", 1).replace(
        "How to reach the server. What is left out is libpq's default.",
        "Who may change the server; a superuser. By default V(postgres), over the socket of the same server.",
        1,
    )
    # And for the new primary of a standby.
    PRIMARY: str = DOCUMENTATION.replace("  connection:\n", "  primary:\n", 1).replace(
        "How to reach the server. What is left out is libpq's default.",
        "How the new primary is reached. Host and port are those that the standby will use.",
        1,
    )
