"""Another try of a run, as a person asks for it at the command line."""

import os
import subprocess
import sys

from flows.services.prefect.client import FlowRun
from tests.support.platform_under_test import PlatformUnderTest


def retry(platform: PlatformUnderTest, run: FlowRun) -> None:
    """Have the worker take the run again."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "flow-run", "retry", run.id]
    subprocess.run(command, env=os.environ | platform.environment, check=True, capture_output=True)
