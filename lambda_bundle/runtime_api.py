"""The Runtime API of Lambda, on the loopback, for one process and at most one event.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html (version 2018-06-01).
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

_ROOT = "/2018-06-01/runtime"
_NEXT = f"{_ROOT}/invocation/next"
REQUEST_ID = "5b3b0f0a-6d0b-4e0e-9b1a-0c4b9b6f5a11"
TRACE_ID = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0"
"""AWS's own example of a trace, not sampled."""

Kind = Literal["ready", "init error", "response", "error", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the process has come to."""

    kind: Kind
    """ "ready": it asks for an event (the next, once it has answered one). "ended": it is no more."""
    at: float
    """On the clock of `time.monotonic`."""
    body: bytes = b""
    """Of a response or an error."""
    code: int = 0
    """The exit code of one that has ended."""

    @property
    def fault(self) -> dict[str, Any]:
        """The document of an error; what is not in it is empty."""
        try:
            document = json.loads(self.body)
        except ValueError:
            document = None
        return document if isinstance(document, dict) else {}


class RuntimeApi:
    """The server's side of the conversation; what the process says comes in order."""

    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._said: queue.SimpleQueue[Said] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[tuple[bytes, float] | None] = queue.SimpleQueue()
        self.address = ""
        """The host and port for AWS_LAMBDA_RUNTIME_API."""

    @contextmanager
    def serving(self) -> Iterator[RuntimeApi]:
        """Listen until the context is left."""
        server = _Server(("127.0.0.1", 0), _Handler)
        server.api = self
        self.address = f"127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._events.put(None)  # whoever waits for an event learns that there is none
            server.shutdown()
            server.server_close()
            thread.join()

    def give(self, event: bytes, seconds: float) -> None:
        """Answer the next question for an event; `seconds` is how long it may take."""
        self._events.put((event, seconds))

    def ended(self, code: int) -> None:
        """The process has ended."""
        self._said.put(Said(kind="ended", at=time.monotonic(), code=code))

    def wait(self, seconds: float) -> Said | None:
        """What the process says next; None when it says nothing for so many seconds."""
        try:
            return self._said.get(timeout=seconds)
        except queue.Empty:
            return None

    def say(self, kind: Kind, body: bytes = b"") -> None:
        """The process has said something."""
        self._said.put(Said(kind=kind, at=time.monotonic(), body=body))

    def next_event(self) -> tuple[bytes, dict[str, str]] | None:
        """The event for a process that waits for one, with its headers; None: there is none any more."""
        self.say("ready")
        given = self._events.get()
        if given is None:
            return None
        event, seconds = given
        return event, {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": REQUEST_ID,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + seconds) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self._arn,
            "Lambda-Runtime-Trace-Id": TRACE_ID,
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a handler may be waiting for an event
    api: RuntimeApi

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A process that is ended in the middle of a request is nothing to tell."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The process asks for an event."""
        if self.path != _NEXT:
            self._answer(HTTPStatus.NOT_FOUND)
            return
        given = self._api.next_event()
        if given is None:
            self.close_connection = True
        else:
            self._answer(HTTPStatus.OK, *given)

    def do_POST(self) -> None:
        """The process reports what came of its initialisation, or of an event."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kinds: dict[str, Kind] = {
            f"{_ROOT}/init/error": "init error",
            f"{_ROOT}/invocation/{REQUEST_ID}/response": "response",
            f"{_ROOT}/invocation/{REQUEST_ID}/error": "error",
        }
        kind = kinds.get(self.path)
        if kind is None:
            self._answer(HTTPStatus.NOT_FOUND)
        else:
            self._api.say(kind, body)
            self._answer(HTTPStatus.ACCEPTED, b'{"status":"OK"}')

    @property
    def _api(self) -> RuntimeApi:
        assert isinstance(self.server, _Server)  # noqa: S101 - for the type checker
        return self.server.api

    def _answer(self, status: HTTPStatus, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads along."""
