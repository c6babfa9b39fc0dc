"""A hub on the loopback: the few answers of the Hugging Face hub's API that loading a dataset of plain files wants."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Commits = dict[str, dict[str, bytes]]
"""Files by path, of each commit."""


class Hub(ThreadingHTTPServer):
    """Serves one dataset; `branches` says which commit a branch is at."""

    daemon_threads = True

    def __init__(self, repo: str, commits: Commits, branches: Mapping[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repo, self.commits, self.branches = repo, commits, dict(branches)
        self.asked: list[str] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(repo: str, commits: Commits, branches: Mapping[str, str]) -> Iterator[Hub]:
    hub = Hub(repo, commits, branches)
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self._answer()

    def log_message(self, *args: Any) -> None:
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        file, api = f"/datasets/{self.server.repo}/resolve/", f"/api/datasets/{self.server.repo}"
        if path.startswith(file):
            revision, _, name = path.removeprefix(file).partition("/")
            self._file(self._commit(revision), name)
        elif path == api or path.startswith(f"{api}/"):
            what, _, rest = path.removeprefix(api).strip("/").partition("/")
            revision, _, folder = rest.partition("/")
            self._api(what, self._commit(revision or "main"), folder)
        else:
            self._refuse("RepoNotFound")

    def _commit(self, revision: str) -> str | None:
        commit = self.server.branches.get(revision, revision)
        return commit if commit in self.server.commits else None

    def _api(self, what: str, commit: str | None, folder: str) -> None:
        if commit is None:
            return self._refuse("RevisionNotFound")
        files = self.server.commits[commit]
        if what in {"", "revision"}:
            siblings = [{"rfilename": name} for name in files]
            known = {"id": self.server.repo, "sha": commit, "siblings": siblings, "private": False}
            return self._json({**known, "tags": [], "downloads": 0, "likes": 0})
        entries = [self._entry(name, content) for name, content in files.items()]
        folders = {name.rpartition("/")[0] for name in files} - {""}
        entries += [{"type": "directory", "path": each, "oid": "0" * 40, "size": 0} for each in folders]
        if what == "paths-info":
            wanted = json.loads(self._body)["paths"]
            return self._json([each for each in entries if each["path"] in wanted])
        if what == "tree":
            inside = [each for each in entries if each["path"].startswith(f"{folder}/" if folder else "")]
            if folder and not inside:
                return self._refuse("EntryNotFound")
            return self._json(inside)
        return self._refuse("EntryNotFound")

    def _entry(self, name: str, content: bytes) -> dict[str, Any]:
        return {"type": "file", "path": name, "oid": hashlib.sha1(content).hexdigest(), "size": len(content)}  # noqa: S324 (git's)

    def _file(self, commit: str | None, name: str) -> None:
        if commit is None:
            return self._refuse("RevisionNotFound")
        content = self.server.commits[commit].get(name)
        if content is None:
            return self._refuse("EntryNotFound", {"X-Repo-Commit": commit})
        tag = hashlib.sha1(content).hexdigest()  # noqa: S324 (git's)
        return self._send(200, content, {"X-Repo-Commit": commit, "ETag": f'"{tag}"'})

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, code: str, headers: Mapping[str, str] | None = None) -> None:
        self._send(404, b"{}", {"X-Error-Code": code, **(headers or {})})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
