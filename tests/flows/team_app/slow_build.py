"""Takes an hour where behaviour.json asks for it."""

import json
import time
from pathlib import Path

if json.loads(Path(__file__).with_name("behaviour.json").read_text()).get("build") == "slow":
    print("the build is slow", flush=True)
    time.sleep(3600)
