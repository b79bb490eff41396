"""What a Dockerfile of a branch that is not released may do, in whatever way a builder reads it."""

import pytest

from flows.config.load import CHECKOUT
from flows.core.build.dockerfile import confined
from flows.core.errors import BuildFailed

BASE = "ARG BASE_IMAGE=python:3.11\nFROM ${BASE_IMAGE} AS base\n"


def test_our_own_dockerfile_is_allowed_and_has_caches_of_its_own() -> None:
    text = (CHECKOUT / "Dockerfile").read_text()
    own = confined(text, "Dockerfile")
    assert own.count("type=cache,target=/root/.cache/pip,id=branch-/root/.cache/pip ") == text.count(
        "type=cache"
    )
    assert own.replace(",id=branch-/root/.cache/pip", "") == text


@pytest.mark.parametrize(
    "text",
    [
        "FROM $BASE_IMAGE\n",
        "from --platform=linux/amd64 ${BASE_IMAGE} as Base\nFROM base\nCOPY --from=BASE a /a\n",
        f"{BASE}FROM scratch\nCOPY --from=0 --chown=1:1 /a /a\nCOPY --from=base /b /b\n",
        f"{BASE}RUN --mount=type=bind,from=base,target=/a \\\n  # why\n\n  --mount=type=tmpfs,target=/b ls\n",
        f"{BASE}# an image: FROM python\nRUN echo FROM python && rsync --from=here --mount=there\n",
        f"{BASE}RUN python3 - <<EOF\nfrom pathlib import Path\nEOF\n",
        f"{BASE}RUN <<EOF\n#!/bin/sh\n{{ true; }}\nEOF\n",
        f"# escape=\\\n{BASE}ENV A=1\n",
        f"\ufeff{BASE}",
        BASE.replace("\n", "\r\n"),
    ],
)
def test_what_starts_from_the_base_image_is_allowed(text: str) -> None:
    assert confined(text, "Dockerfile") == text.removeprefix("\ufeff")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("FROM python\n", 1, "neither BASE_IMAGE nor a stage: python"),
        (f"{BASE}FROM localhost:5001/other/secret AS theirs\n", 3, "neither BASE_IMAGE nor a stage"),
        ("FROM ${BASE_IMAGE:-evil}\n", 1, "neither"),
        ("ARG X=evil\nFROM $X\n", 2, "neither"),
        ("FROM base\nFROM ${BASE_IMAGE} AS base\n", 1, "neither"),
        ('FROM "evil"\n', 1, "neither"),
        (f"{BASE}FROM \\\n  # a comment\n\n  evil\n", 3, "neither"),
        (f"{BASE}FR\\\nOM evil\n", 3, "neither"),
        (f"{BASE}\\\nFROM evil\n", 4, "neither"),
        (f"{BASE}RUN echo \\\\\nFROM evil\n", 4, "neither"),
        (f"{BASE}RUN echo 1 <<E\\\nE\\\nFROM evil\n", 5, "neither"),
        (f"{BASE}RUN <<EOF\nFROM scratch AS python\nEOF\nFROM python\n", 6, "neither"),
        (f"{BASE}RUN echo \\\nFROM scratch AS python\nFROM python\n", 5, "neither"),
        (f"{BASE}FROM scratch AS evil/x\nFROM evil/x\n", 4, "neither"),
        (f"{BASE}COPY --from=python /a /a\n", 3, "is no stage: python"),
        (f"{BASE}COPY --from=1 /a /a\n", 3, "is no stage: 1"),
        (f"{BASE}COPY --chown=1 \\\n --fr\\\nom=python /a /a\n", 3, "is no stage"),
        (f"{BASE}ONBUILD COPY --from=python /a /a\n", 3, "is no stage"),
        (f"{BASE}COPY --from=$X /a /a\n", 3, "is no stage"),
        (f"{BASE}COPY --from= /a /a\n", 3, "is no stage"),
        (f"{BASE}RUN --mount=type=bind,from=python,target=/a ls\n", 3, "is no stage"),
        (f"{BASE}RUN --mount=target=/a,FROM=python ls\n", 3, "is no stage"),
        (f'{BASE}RUN --mount=type=bind,"from=python",target=/a ls\n', 3, "quotes or escapes"),
        (f"{BASE}RUN --mo\\unt=from=python ls\n", 3, "quotes or escapes"),
        (f"{BASE}RUN --mount=type=$T,target=/a ls\n", 3, "of a variable type"),
        (f"{BASE}RUN --network=none \\\n --mount=type=ca\\\nche,target=/a ls\n", 3, "whose id can't be read"),
        (f"# syntax=evil/frontend\n{BASE}", 1, "chooses what interprets"),
        (f"#SYNTAX = evil/frontend\n{BASE}", 1, "chooses what interprets"),
        (f"\ufeff# syntax=evil/frontend\n{BASE}", 1, "chooses what interprets"),
        (f"# check=skip=all\n# syntax=evil/frontend\n{BASE}", 2, "chooses what interprets"),
        (f"// syntax=evil/frontend\n{BASE}", 1, "chooses what interprets"),
        ('{"syntax": "evil/frontend"}\n', 1, "chooses what interprets"),
        ("#!/usr/bin/env evil\n", 1, "chooses what interprets"),
        (f"# escape=`\n{BASE}", 1, "chooses what interprets"),
    ],
)
def test_what_takes_more_is_refused_with_file_and_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(BuildFailed) as refused:
        confined(text, "images/Dockerfile")
    assert refused.value.happened.startswith(f"images/Dockerfile, line {line}, ")
    assert reason in refused.value.happened
    assert "merge it first" in refused.value.remedy


@pytest.mark.parametrize(
    ("mount", "own"),
    [
        ("type=cache,target=/c", "type=cache,target=/c,id=branch-/c"),
        ("type=cache,dst=/c,sharing=locked", "type=cache,dst=/c,sharing=locked,id=branch-/c"),
        ("id=pip,type=cache,target=/c", "type=cache,target=/c,id=branch-pip"),
        ("TYPE=Cache,ID=a,id=b,target=/c", "TYPE=Cache,target=/c,id=branch-b"),
        ("type=cache,id=released-$X,target=/c", "type=cache,target=/c,id=branch-released-$X"),
        ("type=secret,id=ca_bundle", "type=secret,id=ca_bundle"),
        ("type=cache", "type=cache,id=branch-"),
    ],
)
def test_a_cache_is_shared_with_no_build_of_the_released_branch(mount: str, own: str) -> None:
    assert confined(f"{BASE}RUN --mount={mount} ls\n", "Dockerfile") == f"{BASE}RUN --mount={own} ls\n"
