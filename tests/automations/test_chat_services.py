"""What arrives at Slack, Teams and SendGrid through Prefect's blocks for them."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.blocks.notifications import (
    AbstractAppriseNotificationBlock,
    MicrosoftTeamsWebhook,
    SendgridEmail,
    SlackWebhook,
)
from prefect.server.utilities.user_templates import render_user_template_sync
from pydantic import SecretStr

from deployments.prefect.automation_rules import AS_EVENT_SAYS, as_text
from tests.stand_ins.chat_services import ChatServices, chat_services

pytestmark = pytest.mark.exclusive

EVENT = {
    "payload": {
        "what": "No nightly release on 2026-11-24",
        "why": "no run began & no reason is known",
        "move": "Operations",
        "link": "http://127.0.0.1:4200/deployments",
    }
}
TEAMS = "https://prod-07.westeurope.logic.azure.com:443/workflows/8bde/triggers/manual/paths/invoke"
QUERY = "?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=x_y-z"


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServices]:
    with chat_services(tmp_path) as found:
        monkeypatch.setenv("HTTPS_PROXY", found.proxy)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(found.authority))
        for name in ("NO_PROXY", "no_proxy", "https_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield found


@pytest.mark.parametrize(
    ("block", "address"),
    [
        (
            SlackWebhook(
                url=SecretStr("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdev")
            ),
            "hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdev",
        ),
        (
            MicrosoftTeamsWebhook(url=SecretStr(TEAMS + QUERY)),
            "prod-07.westeurope.logic.azure.com/workflows/8bde/triggers/manual/paths/invoke",
        ),
        (
            SendgridEmail(
                api_key=SecretStr("SG.key"), sender_email="ci@example.org", to_emails=["ops@example.org"]
            ),
            "api.sendgrid.com/v3/mail/send",
        ),
    ],
    ids=["slack", "teams", "sendgrid"],
)
def test_a_message_arrives_with_what_why_whose_move_and_link(
    services: ChatServices, block: AbstractAppriseNotificationBlock, address: str
) -> None:
    subject = render_user_template_sync(AS_EVENT_SAYS.what, {"event": EVENT})
    body = render_user_template_sync(as_text(AS_EVENT_SAYS), {"event": EVENT})
    with block.raise_on_failure():
        asyncio.run(block.anotify(body, subject))
    [(reached, content)] = services.taken
    assert reached == address
    sent = json.dumps(content, ensure_ascii=False)
    payload = EVENT["payload"]
    assert payload["what"] in sent
    assert "Next step: " in sent
    assert payload["link"] in sent
