"""The smallest server that keeps to what deployments/kubernetes asks of an app, in Python alone.

It serves until it is asked to stop, and finishes what it has. /slow and every POST take half a second.
"""

import signal
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(0.5)
        self.answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(0.5)
        self.answer()

    def answer(self) -> None:
        self.send_response(200)
        self.send_header("X-Served-By", socket.gethostname())
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: a load would fill the node's disk."""


class Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128


server = Server(("", 8000), Handler)
threading.Thread(target=Server(("", 8001), Handler).serve_forever, daemon=True).start()
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
server.server_close()
