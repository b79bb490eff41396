"""The platform that service, flow and end-to-end tests run on: real, and apart from the one of `make run`.

Each part is brought up when the first test asks for it, and all are removed after the last. With
SLIPWAY_TEST_KEEP=1 they stay, for a look and for the next session, which then starts quicker.
"""

import fcntl
import hashlib
import json
import os
import random
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import pytest
from rich.console import Console

from deployments.local import bring_up, cluster_preparation, ending, prefect_server
from deployments.local.blob_store import BlobStoreAccess
from deployments.local.bring_up import BringUp
from deployments.local.instance import Instance
from deployments.local.platform_file import WrittenSettings, mark_state_folder
from deployments.local.prefect_api import PrefectApi
from deployments.local.progress import Display, Steps, silent
from deployments.local.registry import RegistryAccess
from flows.settings import CHECKOUT, Embedded, load_as
from tests.platform_under_test import PlatformUnderTest

Part = TypeVar("Part")
