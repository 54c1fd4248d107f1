#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: described_files
short_description: Look whether a host can use the files that its description names
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Looks at keys, passwords and certificates that a description names as files. They must be there and not empty, be
    what they are named for, and be readable by whoever runs the jobs and by no other account.
  - Says what is wrong; that is no error. The role C(agent) makes a refusal of it, before anything is installed.
  - What is in a file is never returned. Nothing is changed, and nothing needs to be installed on the target.
  - This is what C(lifeboat config check --files) does on the target.
options:
  files:
    description: The files, as the filter C(lifeboat.recovery.host_configuration) finds them.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: The file.
        type: str
        required: true
      use:
        description: What must be in it.
        type: str
        required: true
        choices: [recipients, secret, credentials, identity, certificates]
      option:
        description: The option of the description that names it, for messages.
        type: str
        required: true
      needed_by:
        description: What can't be done without it, for messages.
        type: list
        elements: str
        required: true
  account:
    description: Who will read them. An account that is not there yet may be given them later.
    type: str
    default: root
extends_documentation_fragment:
  - lifeboat.recovery._attributes.info
seealso:
  - module: lifeboat.recovery.backup_status
"""

EXAMPLES = r"""
- name: Has this host the key that its backups are encrypted to?
  lifeboat.recovery.described_files:
    files:
      - path: /etc/lifeboat/recipients.txt
        use: recipients
        option: recipients_file
        needed_by: [family/main/full]
  register: files
"""

RETURN = r"""
problems:
  description: What is wrong, each file with the first thing that is.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      type: str
      returned: always
    use:
      description: What must be in it.
      type: str
      returned: always
    option:
      description: The option that names it.
      type: str
      returned: always
    needed_by:
      description: What can't be done without it.
      type: list
      elements: str
      returned: always
    problem:
      description: What is wrong with it.
      type: str
      returned: always
    hint:
      description: The next command to type.
      type: str
      returned: always
    message:
      description: The file and what is wrong with it, in one sentence.
      type: str
      returned: always
  sample:
  - path: /etc/lifeboat/recipients.txt
    use: recipients
    option: recipients_file
    needed_by: [family/main/full]
    problem: it is not there
    hint: "Write the public keys into it, one a line: age-keygen -y IDENTITY_FILE > /etc/lifeboat/recipients.txt"
    message: "/etc/lifeboat/recipients.txt (recipients_file of family/main/full): it is not there."
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.named_files import (
    USES,
    NamedFile,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.named_files import look_at_files
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module


def main() -> None:
    """Options, request, result."""
    file = {
        "path": {"type": "str", "required": True},
        "use": {"type": "str", "required": True, "choices": list(USES)},
        "option": {"type": "str", "required": True},
        "needed_by": {"type": "list", "elements": "str", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "dict", "required": True, "options": file},
            "account": {"type": "str", "default": "root"},
        },
        supports_check_mode=True,
    )
    files = [NamedFile(**{**one, "needed_by": tuple(one["needed_by"])}) for one in module.params["files"]]
    account = module.params["account"]
    run_module(
        module,
        lambda host: {
            "changed": False,
            "problems": [one.as_dict() for one in look_at_files(files, account=account)],
        },
    )


if __name__ == "__main__":
    main()
