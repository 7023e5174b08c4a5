"""Faults of ``annotation.hdf5``: of its datasets one by one, of the file as a whole."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from xperience.recording import layout

from .catalogue import Case, flip_bits

ARRAYS = {
    "names": layout.FRAME_NAMES,
    "quat": layout.QUATERNION,
    "trans": layout.TRANSLATION,
    "cloud": layout.POINT_CLOUD,
    "left": layout.HAND_LEFT,
    "right": layout.HAND_RIGHT,
    "body": layout.KEYPOINTS,
    "contacts": layout.CONTACTS,
    "stamps": layout.IMU_STAMPS,
    "accel": layout.IMU_ACCEL,
    "gyro": layout.IMU_GYRO,
    "keys": layout.IMU_KEYFRAMES,
    "depth": layout.DEPTH,
    "confidence": layout.CONFIDENCE,
    "video-stamps": layout.VIDEO_STAMPS,
}
FLOATS = ("quat", "trans", "cloud", "left", "right", "body", "contacts", "accel", "gyro", "depth")
SPAN = slice(20, 40)
"""Rows that a span fault takes; three windows of nine lie wholly outside."""

Change = Callable[[np.ndarray], Any]


@contextmanager
def opened(folder: Path) -> Iterator[h5py.File]:
    with h5py.File(folder / layout.ANNOTATION, "r+") as file:
        yield file


def put(path: str, change: Change, folder: Path, rng: np.random.Generator) -> None:
    """Replace a dataset by what ``change`` makes of it; None deletes it."""
    with opened(folder) as file:
        values = change(file[path][()])
        del file[path]
        if values is not None:
            file[path] = values


def span(value: float) -> Change:
    def changed(values: np.ndarray) -> np.ndarray:
        kind = np.result_type(values.dtype, np.float32) if not np.isfinite(value) else values.dtype
        values = values.astype(kind)
        largest = np.finfo(kind).max if kind.kind == "f" else np.iinfo(kind).max
        values[SPAN] = min(value, float(largest) / 4) if np.isfinite(value) else value
        return values

    return changed


SHAPES: dict[str, Change] = {
    "absent": lambda values: None,
    "empty": lambda values: values[:0],
    "short": lambda values: values[:-3],
    "long": lambda values: np.concatenate([values, values[-3:]]),
    "half": lambda values: values[: len(values) // 2],
    "wrong dtype": lambda values: np.zeros(len(values), dtype=[("value", "f4"), ("flag", "u1")]),
    "wrong axes": lambda values: (
        values[:, None] if values.ndim == 1 else np.moveaxis(values, 0, -1)
    ),
    "one axis less": lambda values: values.reshape(-1)[:7] if values.ndim > 1 else values[0],
    "strings": lambda values: np.full(values.shape, b"n/a", dtype="S8"),
}
SPANS: dict[str, Change] = {
    "NaN span": span(np.nan),
    "inf span": span(np.inf),
    "huge span": span(1e30),
    "largest span": span(1e308),
    "zero span": span(0),
}


def flipped(path: str, n_bits: int, folder: Path, rng: np.random.Generator) -> None:
    """Flip bits of the stored values, as a failing disk does."""
    with opened(folder) as file:
        values = file[path][()]
        kept = {"chunks": file[path].chunks, "compression": file[path].compression}
        raw = bytearray(values.tobytes())
        flip_bits(raw, n_bits, rng)
        del file[path]
        file.create_dataset(
            path, data=np.frombuffer(bytes(raw), values.dtype).reshape(values.shape), **kept
        )


def damaged_chunk(path: str, folder: Path, rng: np.random.Generator) -> None:
    with h5py.File(folder / layout.ANNOTATION) as file:
        chunk = file[path].id.get_chunk_info(int(rng.integers(file[path].id.get_num_chunks())))
    with (folder / layout.ANNOTATION).open("r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\xff" * chunk.size)


def a_group(path: str, folder: Path, rng: np.random.Generator) -> None:
    with opened(folder) as file:
        del file[path]
        file.create_group(path)


def linked(path: str, link: h5py.SoftLink | h5py.ExternalLink, folder: Path, rng: Any) -> None:
    """Put a link that leads nowhere in a dataset's place."""
    with opened(folder) as file:
        del file[path]
        file[path] = link


def array_cases() -> Iterator[Case]:
    for name, path in ARRAYS.items():
        for kind, change in SHAPES.items():
            yield Case(f"{name}", kind, layout.ANNOTATION, partial(put, path, change))
        for kind, change in SPANS.items():
            if name in FLOATS or (kind in ("largest span", "zero span") and name != "names"):
                yield Case(name, kind, layout.ANNOTATION, partial(put, path, change))
        for n_bits in (1, 30):
            plant = partial(flipped, path, n_bits)
            yield Case(name, f"bit flips ({n_bits})", layout.ANNOTATION, plant)
    for name in ("depth", "confidence"):
        yield Case(name, "damaged part", layout.ANNOTATION, partial(damaged_chunk, ARRAYS[name]))
    for name in ("left", "quat", "depth"):
        yield Case(name, "a group", layout.ANNOTATION, partial(a_group, ARRAYS[name]))
        for kind, link in (
            ("link to nothing", h5py.SoftLink("/nowhere")),
            ("link to no file", h5py.ExternalLink("nowhere.hdf5", "/data")),
            ("link to itself", h5py.SoftLink(f"/{ARRAYS[name]}")),
        ):
            yield Case(name, kind, layout.ANNOTATION, partial(linked, ARRAYS[name], link))


def rows(change: Callable[[np.ndarray], None]) -> Change:
    """Return a change that edits a copy in place."""

    def changed(values: np.ndarray) -> np.ndarray:
        values = values.copy()
        change(values)
        return values

    return changed


def back_in_time(values: np.ndarray) -> None:
    values[30:40] = values[10:20]


def far_hand(values: np.ndarray) -> None:
    values[25:35, :, 2] += 10


VALUES = (
    ("names", "goes back", layout.FRAME_NAMES, rows(back_in_time)),
    ("names", "one for all", layout.FRAME_NAMES, lambda v: np.repeat(v[:1], len(v))),
    ("names", "no text", layout.FRAME_NAMES, lambda v: np.full(len(v), b"\xff\xfe\xfd.jpg", "S32")),
    ("stamps", "goes back", layout.IMU_STAMPS, rows(back_in_time)),
    ("stamps", "repeats", layout.IMU_STAMPS, lambda v: np.repeat(v[::2], 2)[: len(v)]),
    ("stamps", "another clock", layout.IMU_STAMPS, lambda v: v - 50_000_000_000_000),
    ("keys", "goes back", layout.IMU_KEYFRAMES, lambda v: v[::-1]),
    ("keys", "outside", layout.IMU_KEYFRAMES, lambda v: v + 10_000),
    ("keys", "negative", layout.IMU_KEYFRAMES, lambda v: v - 40),
    ("left", "implausible", layout.HAND_LEFT, rows(far_hand)),
    ("right", "in millimetres", layout.HAND_RIGHT, lambda v: v * 1000),
    ("body", "in millimetres", layout.KEYPOINTS, lambda v: v * 1000),
    ("quat", "no unit length", layout.QUATERNION, lambda v: v * 3),
    ("trans", "in millimetres", layout.TRANSLATION, lambda v: v * 1000),
    ("cloud", "in millimetres", layout.POINT_CLOUD, lambda v: v * 1000),
    ("accel", "in g", layout.IMU_ACCEL, lambda v: v / 9.81),
    ("gyro", "in degrees/s", layout.IMU_GYRO, np.rad2deg),
    ("depth", "in millimetres", layout.DEPTH, lambda v: (v.astype("f4") * 1000).astype("u2")),
    ("depth", "beyond depth_max", layout.DEPTH, lambda v: v * np.float16(10)),
    ("depth", "other size", layout.DEPTH, lambda v: v[:, :8, :8]),
    ("confidence", "other size", layout.CONFIDENCE, lambda v: v[:, :8, :8]),
    ("depth", "range reversed", layout.DEPTH_MAX, lambda v: np.float32(-1)),
    ("depth", "range NaN", layout.DEPTH_MAX, lambda v: np.float32(np.nan)),
    ("depth", "range in text", layout.DEPTH_MAX, lambda v: b"four metres"),
)


def calibration_cases() -> Iterator[Case]:
    def case(kind: str, path: str, change: Change) -> Case:
        return Case("calibration", kind, layout.ANNOTATION, partial(put, path, change))

    pose, k = "calibration/cam01/T_c0_b", "calibration/cam01/K"
    fisheye = "calibration/cam0/intrinsics"
    yield Case("calibration", "absent", layout.ANNOTATION, partial(dropped, "calibration"))
    yield Case("calibration", "empty", layout.ANNOTATION, partial(a_group, "calibration"))
    yield Case("calibration", "half", layout.ANNOTATION, partial(dropped, "calibration/cam01"))
    for where, path in (("pose", pose), ("K", k), ("fisheye", fisheye)):
        yield case(f"{where} absent", path, lambda v: None)
        yield case(f"{where} NaN", path, lambda v: v * np.nan)
        yield case(f"{where} inf", path, lambda v: v + np.inf)
        yield case(f"{where} huge", path, lambda v: v * 1e30)
        yield case(f"{where} zero", path, lambda v: v * 0)
        yield case(f"{where} strings", path, lambda v: np.full(v.shape, b"n/a", dtype="S8"))
        yield case(f"{where} short", path, lambda v: v[:-1])
    yield case("pose sheared", pose, lambda v: v @ np.diag([2.0, 1, 1, 1]))
    yield case("resolution zero", "calibration/cam0/resolution", lambda v: v * 0)


def dropped(path: str, folder: Path, rng: np.random.Generator) -> None:
    with opened(folder) as file:
        del file[path]


def edited(edit: Callable[[dict], Any]) -> Callable[[bytes], bytes]:
    def changed(raw: bytes) -> bytes:
        document = json.loads(raw)
        found = edit(document)
        return json.dumps(document if found is None else found, ensure_ascii=False).encode()

    return changed


def first_action(document: dict) -> dict:
    return document["segments"][0]["Current Action"][0]


def named(label: Any) -> Callable[[bytes], bytes]:
    return edited(lambda document: first_action(document).update(label=label))


def outside(document: dict) -> None:
    first_action(document).update(start_frame_name="9000000", end_frame_name="9000009")


CAPTIONS: dict[str, Callable[[bytes], Any]] = {
    "absent": lambda raw: None,
    "empty": lambda raw: b"",
    "short": lambda raw: raw[:-3],
    "half": lambda raw: raw[: len(raw) // 2],
    "long": lambda raw: raw + b"{}}",
    "wrong dtype": lambda raw: 12.5,
    "wrong axes": lambda raw: np.array([raw, raw], dtype=f"S{len(raw)}"),
    "strings": lambda raw: b"no JSON at all",
    "NaN": lambda raw: raw.replace(b'"segment_id": 0', b'"segment_id": NaN', 1),
    "a list": edited(lambda document: document["segments"]),
    "no segments": edited(lambda document: document.update(segments=None)),
    "empty segments": edited(lambda document: document.update(segments=[])),
    "segments of numbers": edited(lambda document: document.update(segments=[1, 2, 3])),
    "label a number": named(12),
    "label null": named(None),
    "label half a character": lambda raw: raw.replace(b"jug", b"j\\ud800g"),
    "Latin-1": lambda raw: raw.replace(b"jug", "krüge".encode("latin-1")),
    "UTF-16": lambda raw: np.void(raw.decode().encode("utf-16")),
    "references outside": edited(outside),
    "references of no frame": edited(
        lambda document: first_action(document).update(start_frame_name="x", end_frame_name=None)
    ),
    "doubled key": lambda raw: raw.replace(b'"segments": [', b'"segments": [], "segments": [', 1),
    "doubled labels": lambda raw: re.sub(
        rb'"label": ("[^"]*")', rb'"label": \1, "label": "Wave"', raw
    ),
    "deep": lambda raw: b'{"segments": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "path of no file": lambda raw: b"caption.json",
    "path outside": lambda raw: b"../../etc/passwd",
    "path of the recording": lambda raw: b"annotation.hdf5",
    "path of a folder": lambda raw: b".",
}


def caption_flipped(n_bits: int, folder: Path, rng: np.random.Generator) -> None:
    def changed(raw: bytes) -> np.bytes_:
        damaged = bytearray(raw)
        flip_bits(damaged, n_bits, rng)
        return np.bytes_(bytes(damaged))

    put("caption", changed, folder, rng)


def caption_cases() -> Iterator[Case]:
    for kind, change in CAPTIONS.items():
        yield Case("captions", kind, layout.ANNOTATION, partial(put, "caption", change))
    for n_bits in (1, 2, 3, 30):
        kind = f"bit flips ({n_bits})"
        yield Case("captions", kind, layout.ANNOTATION, partial(caption_flipped, n_bits))


def file_changed(
    change: Callable[[bytearray, np.random.Generator], Any],
    folder: Path,
    rng: np.random.Generator,
) -> None:
    path = folder / layout.ANNOTATION
    raw = bytearray(path.read_bytes())
    found = change(raw, rng)
    path.write_bytes(raw if found is None else found)


def replaced(make: Callable[[Path], None], folder: Path, rng: np.random.Generator) -> None:
    path = folder / layout.ANNOTATION
    path.unlink()
    make(path)


def wiped(raw: bytearray, rng: np.random.Generator) -> None:
    """Zero a stretch, as a sparse download leaves it."""
    start = int(rng.integers(len(raw) - 8192))
    raw[start : start + 8192] = bytes(8192)


def headers_flipped(raw: bytearray, rng: np.random.Generator) -> None:
    """Flip bits where the first object headers lie."""
    head = raw[:2048]
    flip_bits(head, 4, rng)
    raw[:2048] = head


def file_cases() -> Iterator[Case]:
    def case(kind: str, change: Callable, seed: int = 0) -> Case:
        return Case("file", kind, layout.ANNOTATION, partial(file_changed, change), seed)

    yield case("empty", lambda raw, rng: b"")
    for share in (0.001, 0.02, 0.2, 0.5, 0.9, 0.999):
        yield case(f"truncated at {share:.1%}", lambda raw, _, s=share: raw[: int(s * len(raw))])
    yield case("not HDF5", lambda raw, rng: b"<html>Too many requests</html>" * 50)
    yield case("garbage in front", lambda raw, rng: rng.bytes(100) + raw)
    yield case("garbage appended", lambda raw, rng: raw + rng.bytes(10_000))
    yield case("only zeros", lambda raw, rng: bytes(len(raw)))
    yield Case("file", "absent", layout.ANNOTATION, partial(replaced, lambda path: None))
    yield Case("file", "a folder", layout.ANNOTATION, partial(replaced, Path.mkdir))
    dangling = partial(replaced, lambda path: path.symlink_to("nowhere"))
    yield Case("file", "link to nothing", layout.ANNOTATION, dangling)
    itself = partial(replaced, lambda path: path.symlink_to(path))
    yield Case("file", "link to itself", layout.ANNOTATION, itself)
    for seed in range(16):
        yield case("bit flips (20)", lambda raw, rng: flip_bits(raw, 20, rng), seed)
    for seed in range(8):
        yield case("headers' bit flips", headers_flipped, seed)
        yield case("zeroed stretch", wiped, seed)


def cases() -> Iterator[Case]:
    yield from array_cases()
    for name, kind, path, change in VALUES:
        yield Case(name, kind, layout.ANNOTATION, partial(put, path, change))
    yield from calibration_cases()
    yield from caption_cases()
    yield from file_cases()
