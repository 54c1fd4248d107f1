# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of ``playbooks/tasks/failover/kubernetes.yml``: what is set on the cluster, and what its rollout came to."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

Json = t.Mapping[str, t.Any]


def kubernetes_place(target: Json, name: str, plan: Json, run: str = "") -> dict[str, t.Any]:
    """Where the application of that *name* runs, and what its wires say after *plan*."""
    from ..module_utils._engine.failover import kubernetes

    application = next((one for one in target["applications"] if one["name"] == name), None)
    if application is None:
        raise AnsibleFilterError(f"{target['service']} has no application {name} where it goes.")
    return _told(lambda: kubernetes.place_of(application, target, plan, run=run))


def kubernetes_rights(place: Json) -> list[dict[str, str]]:
    """What the account must be allowed to."""
    from ..module_utils._engine.failover import kubernetes

    return kubernetes.rights_of(place)


def kubernetes_refused(reviews: t.Sequence[Json]) -> list[str]:
    """What the cluster says that it is not."""
    from ..module_utils._engine.failover import kubernetes

    return kubernetes.refused_rights(reviews)


def kubernetes_secrets(place: Json) -> list[str]:
    """The names of the Secrets that are changed."""
    from ..module_utils._engine.failover import kubernetes

    return kubernetes.secrets_of(place)


def kubernetes_secret_patches(place: Json, secrets: t.Sequence[Json]) -> list[dict[str, t.Any]]:
    """What has to change of them."""
    from ..module_utils._engine.failover import kubernetes

    return _told(lambda: kubernetes.secret_patches(place, secrets))


def kubernetes_manifests(place: Json, documents: t.Sequence[t.Any]) -> list[dict[str, t.Any]]:
    """The manifests as they are applied."""
    from ..module_utils._engine.failover import kubernetes

    return _told(lambda: kubernetes.manifests(place, documents))


def kubernetes_patch(place: Json, deployment: Json) -> dict[str, t.Any]:
    """What has to change of the deployment; empty when nothing has."""
    from ..module_utils._engine.failover import kubernetes

    return _told(lambda: kubernetes.deployment_patch(place, deployment))


def kubernetes_rollout(place: Json, found: t.Sequence[Json]) -> dict[str, t.Any]:
    """How far the rollout of the one deployment in *found* is."""
    from ..module_utils._engine.failover import kubernetes

    if not found:
        return {"done": False, "failed": False, "text": "the cluster does not show the deployment"}
    return kubernetes.rollout(found[0], place)


def kubernetes_reasons(pods: t.Sequence[Json]) -> list[str]:
    """Why pods are not ready."""
    from ..module_utils._engine.failover import kubernetes

    return kubernetes.pod_reasons(pods)


_Told = t.TypeVar("_Told")


def _told(decide: t.Callable[[], _Told]) -> _Told:
    """What *decide* gives; a refusal ends the play with its words."""
    from ..module_utils._engine.core.errors import LifeboatError

    try:
        return decide()
    except LifeboatError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {
            "kubernetes_manifests": kubernetes_manifests,
            "kubernetes_patch": kubernetes_patch,
            "kubernetes_place": kubernetes_place,
            "kubernetes_reasons": kubernetes_reasons,
            "kubernetes_refused": kubernetes_refused,
            "kubernetes_rights": kubernetes_rights,
            "kubernetes_rollout": kubernetes_rollout,
            "kubernetes_secret_patches": kubernetes_secret_patches,
            "kubernetes_secrets": kubernetes_secrets,
        }
