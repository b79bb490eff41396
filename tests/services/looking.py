"""What a program in a container finds that it may do."""

LOOK = """
import json, os
def writes(folder):
    try:
        open(f"{folder}/x", "w").close()
    except OSError:
        return False
    return True
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
found = {
    "user": os.getuid(),
    "capabilities": int(status["CapEff"], 16),
    "new privileges": status["NoNewPrivs"].strip(),
    "writes": [folder for folder in ("/", "/srv", "/etc", "/tmp", "/reports") if writes(folder)],
}
"""
"""The beginning of a program of Python's: `found` is what any container is asked."""
