"""A stand-in of the hub on 127.0.0.1, with faults to switch on."""

import hashlib
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qs, unquote, urlsplit

import huggingface_hub
import numpy as np
import pytest

from xperience.hub.source import SampleSource

REPO = "lab/walks"
FIRST, SECOND = "a" * 40, "b" * 40
CHUNK = 1024


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    range: str | None
    token: str | None


@dataclass
class FakeHub:
    """Answers as the hub does; each field after `revisions` is a fault or a notebook."""

    commits: dict[str, dict[str, bytes]]  # commit -> path -> content
    revisions: dict[str, str] = field(default_factory=lambda: {"main": FIRST, "v1": FIRST})
    small: tuple[str, ...] = (".json", ".md")  # plain git files, the rest is LFS
    tags: tuple[str, ...] = ("license:cc-by-nc-4.0",)
    gated: str | None = None  # only this token may read files
    status: dict[str, int] = field(default_factory=dict)  # part of the URL -> HTTP status
    cut: dict[str, list[int]] = field(default_factory=dict)  # path -> bytes before each break
    lie: dict[str, dict] = field(default_factory=dict)  # path -> changes of its line in the list
    swap: dict[str, bytes] = field(default_factory=dict)  # path -> content really sent
    ignore_range: bool = False
    answer: bytes | None = None  # sent in place of the listing
    answer_commit: str | None = None
    storage: str | None = None  # files are redirected to this server, as LFS files are
    requests: list[Request] = field(default_factory=list)

    def gets(self) -> Counter:
        """Return how often each file was asked for."""
        files = (r.path for r in self.requests if r.method == "GET" and "/resolve/" in r.path)
        return Counter(path.split("/resolve/")[1].split("/", 1)[1] for path in files)

    def ranges(self, path: str) -> list[str | None]:
        return [r.range for r in self.requests if r.path.endswith(path)]

    def line(self, path: str, content: bytes) -> dict:
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        line = {"rfilename": path, "size": len(content), "blobId": blob}
        if not path.endswith(self.small):
            digest = hashlib.sha256(content).hexdigest()
            line["blobId"] = "c" * 40  # of the pointer, not of the content
            line["lfs"] = {"size": len(content), "sha256": digest, "pointerSize": 134}
        return line | self.lie.get(path, {})

    def listing(self, commit: str) -> dict:
        lines = [self.line(path, content) for path, content in self.commits[commit].items()]
        sha = self.answer_commit or commit
        return {"id": REPO, "sha": sha, "tags": list(self.tags), "siblings": lines}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms
    hub: FakeHub

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.respond(body=False)

    def do_GET(self):
        self.respond(body=True)

    def respond(self, body: bool) -> None:
        hub, url = self.hub, urlsplit(self.path)
        path = unquote(url.path)
        token = self.headers.get("Authorization")
        hub.requests.append(Request(self.command, path, self.headers.get("Range"), token))
        for part, status in hub.status.items():
            if part in path:
                self.send(status, b"out of order")
                return
        api, files = f"/api/datasets/{REPO}/revision/", f"/datasets/{REPO}/resolve/"
        if path.startswith(api):
            self.send_listing(path.removeprefix(api), parse_qs(url.query))
        elif path.startswith(files):
            self.send_file(*path.removeprefix(files).split("/", 1), token, body)
        else:
            self.refuse(401, "RepoNotFound")

    def send_listing(self, revision: str, query: dict) -> None:
        commit = self.hub.revisions.get(revision, revision)
        if commit not in self.hub.commits:
            self.refuse(404, "RevisionNotFound")
            return
        assert query.get("blobs") == ["True"] or query.get("blobs") == ["true"]
        listing = self.hub.answer or json.dumps(self.hub.listing(commit)).encode()
        self.send(200, listing, {"Content-Type": "application/json"})

    def send_file(self, revision: str, path: str, token: str | None, body: bool) -> None:
        hub = self.hub
        commit = hub.revisions.get(revision, revision)
        content = hub.swap.get(path, hub.commits.get(commit, {}).get(path))
        if hub.gated and token != f"Bearer {hub.gated}":
            self.refuse(403 if token else 401, "GatedRepo")
        elif content is None:
            self.refuse(404, "EntryNotFound")
        elif hub.storage:
            self.send(302, b"", {"Location": hub.storage + self.path, "X-Repo-Commit": commit})
        else:
            self.send_content(commit, path, content, body)

    def send_content(self, commit: str, path: str, content: bytes, body: bool) -> None:
        start, total, status = 0, len(content), 200
        asked = self.headers.get("Range")
        if asked and not self.hub.ignore_range:
            start, status = int(asked.removeprefix("bytes=").split("-")[0]), 206
        if start >= total > 0 and status == 206:
            self.send(416, b"", {"Content-Range": f"bytes */{total}"})
            return
        digest = hashlib.sha256(content).hexdigest()
        headers = {
            "ETag": f'"{digest}"',
            "X-Linked-ETag": f'"{digest}"',
            "X-Linked-Size": str(total),
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
        }
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        cuts = self.hub.cut.get(path)
        self.send(status, content[start:] if body else b"", headers, cuts.pop(0) if cuts else None)

    def refuse(self, status: int, code: str) -> None:
        self.send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": f"no: {code}"})

    def send(
        self, status: int, body: bytes, headers: dict | None = None, cut: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True


def noise(n_bytes: int, seed: int) -> bytes:
    return np.random.default_rng(seed).bytes(n_bytes)


def episode_files(folder: str = "ep01") -> dict[str, bytes]:
    prefix = f"{folder}/" if folder else ""
    names = [f"fisheye_cam{i}.mp4" for i in range(4)] + ["stereo_left.mp4", "stereo_right.mp4"]
    files = {f"{prefix}{name}": noise(3000 + i, i) for i, name in enumerate(names)}
    files[f"{prefix}annotation.hdf5"] = noise(20 * CHUNK + 7, 99)
    files[f"{prefix}caption.json"] = b'{"segments": []}'
    return files


@pytest.fixture
def make_server():
    """Return a function that starts a stand-in and returns its address."""
    servers = []

    def start(hub: FakeHub) -> str:
        handler = type("BoundHandler", (Handler,), {"hub": hub})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    huggingface_hub.close_session()
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def fake_hub() -> FakeHub:
    readme = {"README.md": b"# walks", ".gitattributes.json": b"{}"}
    first = episode_files() | readme
    second = dict(first)
    second["ep01/fisheye_cam0.mp4"] = noise(4000, 123)
    del second["ep01/stereo_right.mp4"]
    return FakeHub({FIRST: first, SECOND: second})


@pytest.fixture
def hub(fake_hub, make_server, monkeypatch, tmp_path):
    """The stand-in, running, and the library pointed at it."""
    monkeypatch.setenv("HF_ENDPOINT", make_server(fake_hub))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", CHUNK)
    patient = SimpleNamespace(sleep=lambda _: None)
    monkeypatch.setattr("huggingface_hub.file_download.time", patient)
    monkeypatch.setattr("huggingface_hub.utils._http.time", patient)
    huggingface_hub.close_session()
    return fake_hub


@pytest.fixture
def source() -> SampleSource:
    return SampleSource(repo_id=REPO, revision=FIRST, licence="CC-BY-NC-4.0")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "episode"
