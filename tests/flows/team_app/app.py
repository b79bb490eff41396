"""Answers every picture as the model's examples say, unless behaviour.json asks for something worse."""

import base64
import collections
import json
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BEHAVIOUR = json.loads(Path(__file__).with_name("behaviour.json").read_text())
BEHAVIOUR["app"] = os.environ.get("BEHAVIOUR", BEHAVIOUR["app"])  # what the manifests say
GOLDEN = os.environ.get("GOLDEN", BEHAVIOUR.get("golden", "good"))
IN_CLUSTER = "KUBERNETES_SERVICE_HOST" in os.environ
HERE = {"trial": not IN_CLUSTER, "cluster": IN_CLUSTER, "": True}
RIGHT, WRONG = Path("/tmp/right"), Path("/tmp/wrong")
COUNTS = collections.Counter()
BROKEN = BEHAVIOUR["app"] if HERE[BEHAVIOUR.get("where", "")] else "good"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    timeout = 5  # seconds of silence
    manifest: dict

    def do_GET(self):
        """Health, readiness and version."""
        if self.path == "/readyz" and not is_ready():
            self.answer(503, {})
        elif self.path == "/version" and BROKEN == "dies when asked":
            os._exit(3)
        elif self.path == "/metrics":
            self.tell_counts()
        elif self.path == "/version":
            self.answer(200, version(self.manifest))
        else:
            self.answer(200, {})

    def do_POST(self):
        """Score pictures."""
        pictures = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
        self.answer(200, {"result": [self.score(picture) for picture in pictures]})

    def score(self, picture):
        """The expected answer of the example with that picture."""
        if BROKEN == "answers wrong" or WRONG.exists():
            return [["nonsense", 100.0]]
        known = (e["expected"] for e in self.manifest["examples"] if e["input"] == picture)
        return next(known, None) or recognised(picture)

    def tell_counts(self):
        """What Prometheus collects."""
        lines = [f'http_requests_total{{status="{status}"}} {count}' for status, count in COUNTS.items()]
        self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        self.wfile.write("\n".join(["# TYPE http_requests_total counter", *lines, ""]).encode())

    def answer(self, status, content):
        """Send JSON."""
        COUNTS[status] += 1
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("X-Served-By", socket.gethostname())
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Takes a burst of requests, and finishes those that it has when it is asked to stop."""

    daemon_threads = False
    request_queue_size = 128  # five by default: the kernel drops who comes then


def recognised(picture):
    """The answer to an input that names its own label and number, as those of a golden set do."""
    label, number = base64.b64decode(picture).decode().split()
    if GOLDEN == "crashes" and int(number) % 10 == 5:
        os._exit(4)
    if GOLDEN == "is slow":
        time.sleep(0.05)
    if GOLDEN == "worse" and int(number) % 4 == 0:
        return [["9" if label == "0" else "0", 70.0], [label, 30.0]]
    return [[label, float("nan") if GOLDEN == "answers NaN" else 90.0]]


def is_ready():
    """Whether it takes requests; for one that waits for its role, a file says whether to answer wrong."""
    if BROKEN == "waits for its role":
        return RIGHT.exists() or WRONG.exists()
    return BROKEN != "never ready"


def version(manifest):
    """What /version says."""
    capsule = "f" * 64 if BROKEN == "another version" else identity("CAPSULE")
    model = {key: manifest[key] for key in ("name", "version", "digest")}
    return {"capsule": capsule, "commit": identity("COMMIT"), "model": model, "built": ""}


def identity(name):
    """What Slipway composed into the image, or else what the Dockerfile took as an argument."""
    return os.environ.get(f"SLIPWAY_{name}") or os.environ[name]


def main():
    """Serve until asked to stop."""
    sys.stdout = sys.stderr  # docker keeps no order between two streams
    print("app is starting", flush=True)
    if BROKEN == "dies":
        sys.exit("the app has died as it was asked to")
    if BROKEN == "dies at length":
        print(*(f"line {number} of 120" for number in range(1, 121)), sep="\n", flush=True)
        sys.exit(1)
    if BROKEN == "hangs":
        time.sleep(3600)
    Handler.manifest = json.loads((Path(os.environ["MODEL_DIR"]) / "manifest.json").read_text())
    server = Server(("", 8000), Handler)
    probes = Server(("", 8001), Handler)
    threading.Thread(target=probes.serve_forever, daemon=True).start()
    if BROKEN == "ignores SIGTERM":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    server.server_close()


if __name__ == "__main__":
    main()
