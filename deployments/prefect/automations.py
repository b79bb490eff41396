"""Prefect's automations for Slipway, as the code names them.

    python -m deployments.prefect.automations

makes those of automation_rules.py on the server of PREFECT_API_URL, changes those that differ and
deletes those that it made before and are not named any more. All others are left alone, and so is the switch
with which a person has paused one. Run it again whenever slipway.toml or the deployments have changed, after
`prefect deploy --all`; `make run` does it.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterId,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.events.filters import AutomationFilter, AutomationFilterTags
from prefect.events.schemas.automations import Automation, AutomationCore
from prefect.exceptions import ObjectNotFound

from deployments.prefect.api import POOL
from deployments.prefect.automation_rules import MARK_LOST, OWNED, RESTART_CRASHED, Target, wanted
from deployments.prefect.work_pool import RETIRED
from flows.config import load as configuration
from flows.config import network
from flows.config.load import Settings
from flows.core.errors import SettingsError, SlipwayError
from flows.services.prefect.api import translated_prefect_errors


def ensure(settings: Settings) -> list[str]:
    """What was made, changed or deleted, a line each.

    `SettingsError` where the deployments are not registered, or the block for notifications is missing; in
    the latter case, the automations that need no block are in place. `PrefectUnavailable` where the server
    is away.
    """
    with translated_prefect_errors(), get_client(sync_client=True) as client:
        deployments = registered(client)
        for needed in (RESTART_CRASHED, MARK_LOST):
            if needed not in deployments:
                raise SettingsError(
                    f"Prefect has no deployment {needed}.", "Register it: prefect deploy --all"
                )
        lost_after = settings.runs.lost_after
        try:
            target = target_of(client, settings.notifications.block)
        except SettingsError:
            apply(client, wanted(deployments, lost_after, None))
            raise
        return [
            *apply(client, wanted(deployments, lost_after, target)),
            *delete_retired(client, deployments),
        ]


def apply(client: SyncPrefectClient, automations: Sequence[AutomationCore]) -> list[str]:
    """Have just these of our own on the server."""
    done: list[str] = []
    owned = AutomationFilter(tags=AutomationFilterTags(all_=[OWNED]))
    present = {found.name: found for found in client.read_automations(automations=owned)}
    for automation in automations:
        found = present.pop(automation.name, None)
        if found is None:
            client.create_automation(automation)
            done.append(f"{automation.name}: made")
        elif _content(found) != _content(automation):
            client.update_automation(found.id, automation.model_copy(update={"enabled": found.enabled}))
            done.append(f"{automation.name}: changed")
    for found in present.values():
        client.delete_automation(found.id)
        done.append(f"{found.name}: deleted")
    return done


def delete_retired(client: SyncPrefectClient, deployments: Mapping[str, UUID]) -> list[str]:
    """Delete the deployments that have another name by now; a line for each.

    Call it after `apply`, when no automation starts them any more.
    """
    retired = [name for name in RETIRED if name in deployments]
    for name in retired:
        client.delete_deployment(deployments[name])
    return [f"{name}: deployment deleted, it has another name" for name in retired]


def registered(client: SyncPrefectClient) -> dict[str, UUID]:
    """The deployments of the pool, as flow/name -> id."""
    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL]))
    found = client.read_deployments(work_pool_filter=pool)
    flows = client.read_flows(flow_filter=FlowFilter(id=FlowFilterId(any_=[one.flow_id for one in found])))
    names = {flow.id: flow.name for flow in flows}
    return {f"{names[one.flow_id]}/{one.name}": one.id for one in found}


def target_of(client: SyncPrefectClient, block: str | None) -> Target | None:
    """The block of that type and name; None where none is named."""
    if block is None:
        return None
    kind, _, name = block.partition("/")
    try:
        return Target(kind, client.read_block_document_by_name(name, kind, include_secrets=False).id)
    except ObjectNotFound as error:
        raise SettingsError(
            f"Prefect has no block {block}, which slipway.toml names at [notifications] block.",
            "Create it in the Prefect UI under Blocks, then run this again.",
        ) from error


def _content(automation: AutomationCore | Automation) -> dict[str, Any]:
    """What counts when two are compared: neither ids nor the switch."""
    named = set(AutomationCore.model_fields) - {"enabled", "owner_resource"}
    return automation.model_dump(include=named)


def main() -> int:
    """Exit status: 0 when all is in place, 2 for wrong settings, 1 for anything else."""
    try:
        settings = configuration.load()
        network.enter(settings)
        done = ensure(settings)
    except SlipwayError as error:
        print(error.with_docs, file=sys.stderr)
        return 2 if isinstance(error, SettingsError) else 1
    print("\n".join(done) or "Nothing to change.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
