"""A stand-in of the hub on 127.0.0.1, with faults to switch on."""

import hashlib
import json
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import huggingface_hub
import numpy as np
import pytest

from xperience.hub.source import EPISODE_FILES, SampleSource

REPO = "lab/walks"
FIRST, SECOND = "a" * 40, "b" * 40
CHUNK = 1024


@dataclass
class FakeHub:
    """What the hub has, the faults that it shows, and what it was asked for."""

    commits: dict[str, dict[str, bytes]]  # commit -> path -> content, of REPO
    repos: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)  # by kind and name
    code: dict[str, bytes] = field(default_factory=dict)  # what the host of plain files has
    revisions: dict[str, str] = field(default_factory=lambda: {"main": FIRST, "v1": FIRST})
    token: str | None = None  # only this one may read files
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)  # part of a URL -> answer
    swap: dict[str, bytes] = field(default_factory=dict)  # path -> content really sent
    cut: dict[str, list[int]] = field(default_factory=dict)  # path -> bytes before each break
    requests: list[tuple[str, str | None]] = field(default_factory=list)  # path, token
    ranges: list[tuple[str, str | None]] = field(default_factory=list)  # path, byte range

    def __post_init__(self) -> None:
        self.repos[f"datasets/{REPO}"] = self.commits

    def fetched(self) -> Counter:
        """Return how often each file was sent."""
        return Counter(path for path, _ in self.ranges)


def listed(path: str, content: bytes) -> dict:
    """Return a line of the hub's listing: small text files are git blobs, the rest is LFS."""
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    line = {"type": "file", "path": path, "size": len(content), "oid": blob}
    if path.endswith((".json", ".md")):
        return line
    lfs = {"size": len(content), "oid": hashlib.sha256(content).hexdigest(), "pointerSize": 134}
    return line | {"oid": "c" * 40, "lfs": lfs}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms
    hub: FakeHub

    def log_message(self, *_):
        pass

    def do_GET(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        token = self.headers.get("Authorization")
        hub.requests.append((path, token))
        answer = next((hub.answers[part] for part in hub.answers if part in path), None)
        stored = path.removeprefix("/stored")
        about = re.fullmatch(r"/api/(\w+/[^/]+/[^/]+)/(\w+)/([^/]+)/?(.*)", path)
        there = re.fullmatch(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.*)", stored)
        if answer:
            self.send(*answer)
        elif about and (commits := hub.repos.get(about[1])) is not None:
            if about[2] == "revision":
                self.send_revision(commits, about[3])
            else:
                self.send_tree(commits[about[3]], f"{about[4]}/" if about[4] else "")
        elif path.startswith("/code/"):
            self.send_file(hub.code, path.removeprefix("/code/"))
        elif not there or (commits := hub.repos.get(f"{there[1] or 'models'}/{there[2]}")) is None:
            self.refuse(401, "RepoNotFound")
        elif path != stored:
            self.send_file(commits[there[3]], there[4])
        elif hub.token and token != f"Bearer {hub.token}":
            self.refuse(403 if token else 401, "GatedRepo")
        else:  # content lies on another host
            storage = f"http://localhost:{self.server.server_address[1]}/stored"
            self.send(302, headers={"Location": storage + self.path})

    def send_revision(self, commits: dict, revision: str) -> None:
        commit = self.hub.revisions.get(revision, revision)
        if commit not in commits:
            return self.refuse(404, "RevisionNotFound")
        info = {"id": REPO, "sha": commit, "tags": ["license:cc-by-nc-4.0"]}
        return self.send(200, json.dumps(info).encode())

    def send_tree(self, files: dict[str, bytes], folder: str) -> None:
        lines = [listed(path, data) for path, data in files.items() if path.startswith(folder)]
        if folder and not lines:
            return self.refuse(404, "EntryNotFound")
        return self.send(200, json.dumps(lines).encode())

    def send_file(self, files: dict[str, bytes], path: str) -> None:
        hub, wanted = self.hub, self.headers.get("Range")
        if path not in files:
            return self.refuse(404, "")
        content = hub.swap.get(path, files[path])
        hub.ranges.append((path, wanted))
        cut = hub.cut[path].pop(0) if hub.cut.get(path) else None
        if wanted is None:
            return self.send(200, content, cut=cut)
        start = int(wanted.removeprefix("bytes=").split("-")[0])
        headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        return self.send(206, content[start:], headers, cut)

    def refuse(self, status: int, code: str) -> None:
        self.send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": f"no: {code}"})

    def send(self, status: int, body=b"", headers=None, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in ((headers or {}) | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:cut])
        self.close_connection = cut is not None


@pytest.fixture(scope="module")
def address():
    """Start the server, and the library's client anew: it reads the proxies once."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        huggingface_hub.close_session()
        yield f"http://127.0.0.1:{server.server_address[1]}"
    huggingface_hub.close_session()
    server.shutdown()
    server.server_close()


@pytest.fixture
def hub(address, monkeypatch, tmp_path) -> FakeHub:
    """A hub with two revisions of an episode, and the library pointed at it."""
    noise = np.random.default_rng(0).bytes
    first = {f"ep01/{name}": noise(3000 + place) for place, name in enumerate(EPISODE_FILES)}
    first["ep01/annotation.hdf5"] = noise(20 * CHUNK + 7)
    first |= {"ep01/caption.json": b'{"segments": []}', "README.md": b"# walks"}
    second = first | {"ep01/fisheye_cam0.mp4": noise(4000)}
    settings = {
        "ENDPOINT": address,
        "HUGGINGFACE_CO_URL_TEMPLATE": address + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_TOKEN_PATH": str(tmp_path / "no-token"),
        "HF_HUB_OFFLINE": False,
        "DOWNLOAD_CHUNK_SIZE": CHUNK,
    }
    for name, value in settings.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    patient = SimpleNamespace(sleep=lambda _: None)
    monkeypatch.setattr("huggingface_hub.file_download.time", patient)
    monkeypatch.setattr("huggingface_hub.utils._http.time", patient)
    Handler.hub = FakeHub({FIRST: first, SECOND: second})
    return Handler.hub


@pytest.fixture
def source() -> SampleSource:
    return SampleSource(repo_id=REPO, revision=FIRST, licence="CC-BY-NC-4.0")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "episode"
