"""A package index on the loopback, as small as PEP 503 allows, that counts what is fetched from it."""

from __future__ import annotations

import hashlib
import html
import re
import ssl
import threading
import time
import zipfile
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import HeaderParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name


@dataclass(kw_only=True)
class Index:
    """What is served, and how."""

    folder: Path
    promised: Mapping[str, str] = field(default_factory=dict)
    """Hashes that the pages promise in place of the true ones, by file name; "" for none."""
    credentials: str | None = None
    """`user:password` that every request must carry."""
    refusal: int = 401
    """The status of an answer to a request without them."""
    token: str | None = None
    """What every request must have in its query: token=…"""
    moved: Mapping[str, str] = field(default_factory=dict)
    """Where requests are sent on to, by path; what is not moved is answered."""
    good: int = 0
    """Seconds for which pages are good; 0: nothing is said of that."""
    lasting: bool = True
    """Whether it says that files never change."""
    yanked: Mapping[str, str] = field(default_factory=dict)
    """Why files were withdrawn, or "", by their names."""
    delay: float = 0.0
    """Seconds that a file takes."""
    page: tuple[str, bytes] | None = None
    """What stands in the place of every page: its content type, and what it holds."""
    asked: Counter[str] = field(default_factory=Counter)
    """How often each path was asked for, credentials or not."""
    fetched: Counter[str] = field(default_factory=Counter)
    """How often each file was sent."""

    def answer(self, method: str, path: str, authorization: str) -> tuple[int, bytes]:
        """Status and body for a request; the body of a redirect is where it leads."""
        path, _, query = path.partition("?")
        self.asked[path] += 1
        if path in self.moved:
            return 302, self.moved[path].encode()
        basic = f"Basic {b64encode((self.credentials or '').encode()).decode()}"
        if (self.token and query != f"token={self.token}") or (self.credentials and authorization != basic):
            return self.refusal, b"who are you?"
        if page := re.fullmatch(r"/simple/([^/]+)/", path):
            return self._page(page[1])
        name = path.removeprefix("/files/")
        file = self.folder / name.removesuffix(".metadata")
        if not file.is_file() or "/" in name:
            return 404, b""
        if name != file.name:
            return 200, _metadata(file)
        self.fetched[name] += method == "GET"
        time.sleep(self.delay)
        return 200, file.read_bytes()

    def _page(self, project: str) -> tuple[int, bytes]:
        if self.page is not None:
            return 200, self.page[1]
        links = "".join(self._links(project))
        return (200, f"<!DOCTYPE html><html><body>{links}</body></html>".encode()) if links else (404, b"")

    def _links(self, project: str) -> Iterator[str]:
        for file in sorted(self.folder.iterdir()):
            if canonicalize_name(file.name.partition("-")[0]) == project:
                true = hashlib.sha256(file.read_bytes()).hexdigest()
                promise = self.promised.get(file.name, true)
                fragment = f"#sha256={promise}" if promise else ""
                said = _attributes(file)
                if file.name in self.yanked:
                    said += f' data-yanked="{html.escape(self.yanked[file.name])}"'
                yield f'<a href="/files/{file.name}{fragment}"{said}>{file.name}</a>'


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Say nothing of a client that hangs up, as one does that distrusts the certificate."""


@contextmanager
def serving(index: Index, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve an index; gives the address of its host, such as 127.0.0.1:40000."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body = index.answer(self.command, self.path, self.headers.get("Authorization", ""))
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="loopback"')
            if status == 302:
                self.send_header("Location", body.decode())
            kind = "application/zip" if self.path.partition("?")[0].endswith(".whl") else "application/gzip"
            page = "text/html" if index.page is None else index.page[0]
            self.send_header("Content-Type", page if self.path.endswith("/") else kind)
            if index.good and self.path.endswith("/"):
                self.send_header("Cache-Control", f"max-age={index.good}")
            if index.lasting and self.path.startswith("/files/"):
                self.send_header("Cache-Control", "max-age=365000000, immutable, public")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the same

        def log_message(self, *_: Any) -> None:
            """Say nothing on stderr."""

    server = _Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _metadata(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return archive.read(name)


def _attributes(file: Path) -> str:
    """What PEP 503 and PEP 658 let a page say of a wheel, so that nobody needs to fetch it to know."""
    if not zipfile.is_zipfile(file):
        return ""
    metadata = _metadata(file)
    python = HeaderParser().parsestr(metadata.decode())["Requires-Python"]
    said = f' data-core-metadata="sha256={hashlib.sha256(metadata).hexdigest()}"'
    return said + (f' data-requires-python="{html.escape(python)}"' if python else "")
