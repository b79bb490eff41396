"""What Prefect does automatically about Slipway's runs: notifications, and what becomes of lost runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from prefect.events import AutomationCore, EventTrigger, Posture, ResourceSpecification
from prefect.events.actions import (
    ActionTypes,
    CallWebhook,
    RunDeployment,
    SendNotification,
)

from flows.core.night.schedule import NIGHTLY_RELEASE
from flows.core.trigger.attempts import UNAVAILABLE
from flows.core.trigger.run_labels import WHY

OWNED = "slipway-code"
"""Tag of the automations that are made here. One that has it and is not named here any more is deleted."""

RELEASING = ("release", "rollback", "recover", "verify")
"""The flows that change what users reach, or say whether it is good."""

UNAVAILABLE_EVENT = f"prefect.flow-run.{UNAVAILABLE}"
"""Prefect's, of a run that gets the state of that name."""

RESTART_CRASHED, MARK_LOST = "restart-crashed/on-crash", "mark-lost/on-demand"


@dataclass(frozen=True)
class Message:
    """What a notification says, as templates of Prefect's automations."""

    what: str
    why: str
    move: str
    link: str


@dataclass(frozen=True)
class Target:
    """The block that takes notifications; a `webhook` gets JSON, all others subject and text."""

    kind: str
    id: UUID


RUN = f"{{{{ flow_run.name.split('{WHY}')[0] }}}}"
REASON, LINK = "{{ flow_run.state.message }}", "{{ flow_run|ui_url }}"
"""Of the run that the event is about."""

CI_FAILED = Message(
    f"CI failed: {RUN}",
    REASON,
    "The commit's author corrects it, unless the reason names another cause. `latest` did not move.",
    LINK,
)
CI_UNAVAILABLE = Message(
    f"CI waits: {RUN}",
    REASON,
    "Operations: check the system that the reason names. If the commit is still wanted, the poller starts it "
    "again, with growing pauses.",
    LINK,
)
RELEASE_FAILED = Message(
    f"Failed: {RUN}",
    REASON,
    "Operations: the reason says what is live now, and what to do.",
    LINK,
)
APPROVAL_WANTED = Message(
    "Approval wanted: {{ event.payload.what }}",
    "{{ event.payload.why }}",
    "A person who may approve: press Resume on the run's page and fill in the form.",
    LINK,
)
AS_EVENT_SAYS = Message(
    "{{ event.payload.what }}",
    "{{ event.payload.why }}",
    "{{ event.payload.move }}",
    "{{ event.payload.link }}",
)
"""Of events that say it all themselves."""


def wanted(deployments: Mapping[str, UUID], lost_after: float, target: Target | None) -> list[AutomationCore]:
    """The automations for these deployments (flow/name -> id); without a target no notifications.

    `lost_after` are the seconds without a heartbeat after which a run has crashed. The runs that these
    automations start are not watched themselves: each would start the next.
    """
    watched = _ids(deployments, deployments.keys() - {RESTART_CRASHED, MARK_LOST})
    crashed, lost = _on("prefect.flow-run.Crashed", watched), _without_heartbeat(watched, lost_after)
    nights = _ids(deployments, deployments.keys() & {NIGHTLY_RELEASE})
    restart = [_restart(deployments[RESTART_CRASHED])]
    return [
        *([] if target is None else _notifications(deployments, target)),
        _automation("run crashed", crashed, restart),
        *(_automation("night unavailable", _on(UNAVAILABLE_EVENT, [one]), restart) for one in nights),
        _automation("run lost", lost, [_mark_lost(deployments[MARK_LOST], lost_after)]),
    ]


def _notifications(deployments: Mapping[str, UUID], target: Target) -> list[AutomationCore]:
    ci = _ids(deployments, [name for name in deployments if name.startswith("ci/")])
    releasing = _ids(deployments, [name for name in deployments if name.partition("/")[0] in RELEASING])
    return [
        _automation("CI failed", _failed(ci), _notify(target, CI_FAILED)),
        _automation("CI waits", _on(UNAVAILABLE_EVENT, ci), _notify(target, CI_UNAVAILABLE)),
        _automation(
            "approval wanted", _on("slipway.approval.wanted", releasing), _notify(target, APPROVAL_WANTED)
        ),
        _automation("crash", _on("slipway.run.crashed"), _notify(target, AS_EVENT_SAYS)),
        _automation("nightly missing", _on("slipway.nightly.missing"), _notify(target, AS_EVENT_SAYS)),
        _automation("release failed", _failed(releasing), _notify(target, RELEASE_FAILED)),
    ]


def _automation(name: str, trigger: EventTrigger, actions: list[ActionTypes]) -> AutomationCore:
    return AutomationCore(
        name=f"Slipway: {name}",
        description="Made by deployments/prefect/automations.py. Edits are lost, except of the switch.",
        tags=[OWNED],
        trigger=trigger,
        actions=actions,
    )


def _failed(deployments: list[str]) -> EventTrigger:
    return EventTrigger(
        expect={"prefect.flow-run.*"},
        match=ResourceSpecification(
            {"prefect.resource.id": "prefect.flow-run.*", "prefect.state-type": "FAILED"}
        ),
        match_related=_of(deployments),
        posture=Posture.Reactive,
        threshold=1,
    )


def _without_heartbeat(deployments: list[str], after: float) -> EventTrigger:
    """A run that has sent no event for so many seconds after a heartbeat or after it began to run.

    A run that ended or paused has sent another event. A paused run, whose process waits for an answer, sends
    further heartbeats; a suspended one has no process, and sends none.
    """
    return EventTrigger(
        after={"prefect.flow-run.heartbeat", "prefect.flow-run.Running"},
        expect={"prefect.flow-run.*"},
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=_of(deployments),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=after),
    )


def _on(event: str, deployments: list[str] | None = None) -> EventTrigger:
    related = {} if deployments is None else {"match_related": _of(deployments)}
    return EventTrigger(expect={event}, posture=Posture.Reactive, threshold=1, **related)


def _of(deployments: list[str]) -> ResourceSpecification:
    """Runs of these deployments alone: the server may have others, of other projects."""
    return ResourceSpecification({"prefect.resource.role": "deployment", "prefect.resource.id": deployments})


def _ids(deployments: Mapping[str, UUID], names: Iterable[str]) -> list[str]:
    return sorted(f"prefect.deployment.{deployments[name]}" for name in names)


def _mark_lost(deployment: UUID, seconds: float) -> ActionTypes:
    """By a run of its own, as no trigger can ask in which state the lost one is."""
    parameters = {"run": "{{ flow_run.id|string }}", "name": "{{ flow_run.name }}", "seconds": seconds}
    return RunDeployment(source="selected", deployment_id=deployment, parameters=parameters)


def _restart(deployment: UUID) -> ActionTypes:
    parameters = {"run": "{{ flow_run.id|string }}", "name": "{{ flow_run.name }}"}
    return RunDeployment(source="selected", deployment_id=deployment, parameters=parameters)


def _notify(target: Target, message: Message) -> list[ActionTypes]:
    if target.kind == "webhook":
        return [CallWebhook(block_document_id=target.id, payload=as_json(message))]
    return [SendNotification(block_document_id=target.id, subject=message.what, body=as_text(message))]


def as_text(message: Message) -> str:
    """For people: four lines."""
    return f"What: {message.what}\nWhy: {message.why}\nNext step: {message.move}\nLink: {message.link}"


def as_json(message: Message) -> str:
    """For programs: an object with the same four, and `text`, which chats show."""
    fields = {"what": message.what, "why": message.why, "move": message.move, "link": message.link}
    named = "".join(f"{{% set {name} %}}{value}{{% endset %}}" for name, value in fields.items())
    text = f"{{% set text %}}{as_text(message)}{{% endset %}}"
    body = ", ".join(f'"{name}": {{{{ {name}|tojson }}}}' for name in (*fields, "text"))
    return f"{named}{text}{{{body}}}"
