"""What a person reads of manifests that do not render: the cause, in the folder that they know."""

import pytest

from flows.services.kubernetes.kustomize_errors import cause

COPY, OURS = "/tmp/slipway-overlay-x/kubernetes", "/srv/checkout/deployments/kubernetes"
STAGING = (
    "accumulating resources: accumulation err='accumulating resources from 'kubernetes/overlays/staging': "
    f"'{COPY}/overlays/staging' must resolve to a file': "
)
RECURSED = f"{STAGING}recursed accumulation of path '{COPY}/overlays/staging': "
BASE = (
    f"accumulating resources: accumulation err='accumulating resources from '../../base': '{COPY}/base' must "
    f"resolve to a file': recursed accumulation of path '{COPY}/base': "
)


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (
            f"error: {STAGING}couldn't make target for path '{COPY}/overlays/staging': invalid "
            "Kustomization: yaml: line 15: did not find expected '-' indicator",
            f"in {OURS}/overlays/staging: invalid Kustomization: yaml: line 15: did not find expected '-' "
            "indicator",
        ),
        (
            f"error: {RECURSED}replace operation does not apply: doc is missing path: /spec/nowhere: missing "
            "value",
            f"in {OURS}/overlays/staging: replace operation does not apply: doc is missing path: "
            "/spec/nowhere: missing value",
        ),
        (
            f'E1129 21:03:06.698958   14954 run.go:72] "command failed" err="{RECURSED}{BASE}accumulating '
            "resources: accumulating resources from 'deployment.yaml': MalformedYAMLError: yaml: line 70: "
            'mapping values are not allowed in this context in File: deployment.yaml"',
            f"in {OURS}/base: MalformedYAMLError: yaml: line 70: mapping values are not allowed in this "
            "context in File: deployment.yaml",
        ),
        (
            "# Warning: 'commonLabels' is deprecated.\n"
            f"error: {RECURSED}accumulating resources: accumulation err='accumulating resources from "
            f"'../../nowhere': evalsymlink failure on '{COPY}/nowhere' : lstat {COPY}/nowhere: no such file",
            f"in {OURS}/overlays/staging: evalsymlink failure on '{OURS}/nowhere' : lstat {OURS}/nowhere: no "
            "such file",
        ),
        ("error: something else.", "something else"),
        ("", "it said nothing"),
    ],
)
def test_the_innermost_complaint_is_reported_with_its_folder(said: str, complaint: str) -> None:
    assert cause(said, COPY, OURS) == complaint
