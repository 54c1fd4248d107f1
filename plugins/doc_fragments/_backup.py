# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by the modules that make backups. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragments by name; see Ansible's manual for how C(extends_documentation_fragment) finds them."""

    DOCUMENTATION = r"""
options:
  service:
    description:
      - The service that the data belongs to; the first folder in every repository.
      - Lower-case letters, digits, dot, dash and underscore, at most 63, beginning with a letter or digit.
    type: str
    required: true
  source:
    description:
      - The source within the service, for example V(main) or V(cache); the second folder in every repository.
    type: str
    required: true
  compression:
    description: How the data is compressed before it leaves the host.
    type: dict
    suboptions:
      method:
        description: V(zstd) runs the program C(zstd); V(none) stores the data as it comes.
        type: str
        choices: [zstd, none]
        default: zstd
      level:
        description: From 1 (fast) to 19 (small).
        type: int
        default: 1
      threads:
        description: Threads of C(zstd); 0 means one for each processor.
        type: int
        default: 0
  encryption:
    description:
      - Encrypt with C(age) to public keys. The host that makes backups can then not read them.
      - Left out, nothing is encrypted.
    type: dict
    suboptions:
      recipients:
        description: Public keys, as C(age-keygen) prints them.
        type: list
        elements: str
      recipients_file:
        description: A file on the target with one public key a line.
        type: path
  labels:
    description: Words of yours that are kept in the manifest, for example the change that the backup was taken before.
    type: dict
    default: {}
  questions:
    description:
      - What verifications of this backup ask its restored copy and compare with the source itself; written like
        O(lifeboat.recovery.backup_verify#module:questions), with the reference V(noted).
      - The source is asked before and after the backup. An answer that is not to be had is a warning.
    type: list
    elements: dict
    default: []
  state_directory:
    description: Folder on the target for locks, progress and run records. Made when missing.
    type: path
    default: /var/lib/lifeboat
  lock_timeout:
    description: Seconds to wait when another run works on the same source; 0 fails at once and says who it is.
    type: int
    default: 0
  fail_on_partial:
    description:
      - Whether the task fails when some repositories have the backup and others don't.
      - The result is the same either way; RV(backup.state) says V(partial).
    type: bool
    default: true
extends_documentation_fragment:
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
notes:
  - The programs C(zstd) and C(age) must be on the target where compression and encryption are asked for.
  - No secret is ever placed in an argument list, a manifest or a result. Prefer the options that end in C(_file),
    C(_env) or C(_command) over values.
  - While a run lasts, C(lifeboat status) on the target and the result RV(lifeboat.recovery.backup_info#module:running)
    show stage, bytes and rate.
seealso:
  - module: lifeboat.recovery.backup_info
"""
