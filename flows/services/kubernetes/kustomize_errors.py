"""What kustomize says last of all, without the folders that it came through on its way there."""

import re

PREFIX = re.compile(r'^(?:error: |[EF]\d{4} .*?"command failed" err=")')
WRAPPER = re.compile(
    r"accumulating resources: "
    r"|accumulation err='"
    r"|accumulating resources from '[^']*': "
    r"|'[^']*' must resolve to a file': "
    r"|(?:recursed accumulation of path|couldn't make target for path) '(?P<folder>[^']*)': "
)
"""One step from a kustomization to what it names: each says the same again, with paths of the copy."""


def cause(said: str, copy: str, original: str) -> str:
    """The innermost complaint, after the folder that it is about; paths below `copy` as those of `original`.

    Without a full stop, as the end of a sentence.
    """
    lines = [line for line in said.splitlines() if line.strip()]
    text, folder = PREFIX.sub("", lines[-1].strip()) if lines else "it said nothing", ""
    while step := WRAPPER.match(text):
        folder = step["folder"] or folder
        text = text[step.end() :]
    where = f"in {folder}: " if folder else ""
    return f"{where}{text}".replace(copy, original).rstrip('".')
