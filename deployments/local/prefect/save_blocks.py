"""Saves the Prefect blocks that `deployments.local.prefect.blocks` describes on standard input."""

import json
import sys
from importlib import import_module

from prefect.blocks.core import Block


def main() -> None:
    """Save each; a block of the same name is overwritten."""
    for description in json.load(sys.stdin):
        module, _, name = description["block_class"].rpartition(".")
        block_class: type[Block] = getattr(import_module(module), name)
        block_class(**description["values"]).save(description["name"], overwrite=True)


if __name__ == "__main__":
    main()
