"""Faults of the MP4 files: of their pictures, their sound, their clocks, of the file as a whole."""

import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np

from xperience.recording import layout

from .catalogue import Case, flip_bits

CAMERAS = (layout.AUDIO_CAMERA, "stereo_right")
NONE = slice(0)
SOUND_HZ = 48_000
Packets = Callable[[list[av.Packet], list[av.Packet]], None]
"""Edits the packets of the pictures and of the sound in place."""


def remuxed(path: Path, edit: Packets = lambda pictures, sound: None, **options: str) -> None:
    """Write a video's packets, not decoded, into a new file in its place."""
    old = path.with_suffix(".old.mp4")
    path.rename(old)
    with av.open(str(old)) as source, av.open(str(path), "w", options=options) as out:
        streams = (source.streams.video[0], source.streams.audio[0])
        kept = [[], []]
        for packet in source.demux(*streams):
            if packet.size:
                kept[streams.index(packet.stream)].append(packet)
        edit(*kept)
        for stream, packets in zip(streams, kept, strict=True):
            if packets:
                new = out.add_stream_from_template(stream)
                for packet in packets:
                    packet.stream = new
        for packet in sorted(kept[0] + kept[1], key=lambda p: p.dts * p.time_base):
            out.mux(packet)
    old.unlink()


def shift(packets: list[av.Packet], by_s: float) -> None:
    for packet in packets:
        packet.pts += round(by_s / packet.time_base)
        packet.dts += round(by_s / packet.time_base)


def late(pictures_s: float, sound_s: float) -> Packets:
    def edit(pictures: list[av.Packet], sound: list[av.Packet]) -> None:
        shift(pictures, pictures_s)
        shift(sound, sound_s)

    return edit


def lost(pictures_lost: slice, sound_lost: slice) -> Packets:
    def edit(pictures: list[av.Packet], sound: list[av.Packet]) -> None:
        del pictures[pictures_lost], sound[sound_lost]

    return edit


def stretched(pictures: list[av.Packet], sound: list[av.Packet]) -> None:
    for packet in pictures:
        packet.pts, packet.dts = 2 * packet.pts, 2 * packet.dts
        packet.duration *= 2


def sound_half(pictures: list[av.Packet], sound: list[av.Packet]) -> None:
    del sound[len(sound) // 2 :]


def sound_closed_up(pictures: list[av.Packet], sound: list[av.Packet]) -> None:
    """Cut a piece out and close the gap: only the total length tells."""
    gone_s = float(sum(p.duration for p in sound[40:90]) * sound[0].time_base)
    shift(sound[90:], -gone_s)
    del sound[40:90]


def copied(old: av.Packet, raw: bytes, later: int = 0) -> av.Packet:
    new = av.Packet(raw)
    new.pts, new.dts, new.duration = old.pts + later, old.dts + later, old.duration
    new.time_base, new.is_keyframe = old.time_base, old.is_keyframe
    return new


def sound_twice(pictures: list[av.Packet], sound: list[av.Packet]) -> None:
    end = sound[-1].pts + sound[-1].duration
    sound += [copied(packet, bytes(packet), end) for packet in sound]


def flipped(track: int, n_bits: int, rng: np.random.Generator) -> Packets:
    """Return an edit that flips bits in some packets: 0 for those of pictures, 1 for sound."""

    def edit(*tracks: list[av.Packet]) -> None:
        packets = tracks[track]
        for index in rng.choice(len(packets), size=min(n_bits, len(packets)), replace=False):
            raw = bytearray(bytes(packets[index]))
            flip_bits(raw, 1, rng)
            packets[index] = copied(packets[index], bytes(raw))

    return edit


def pictures_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def encoded(
    path: Path,
    *,
    change: Callable[[list[np.ndarray]], list[np.ndarray]] = lambda frames: frames,
    at: Callable[[int], float] = lambda number: number / 20,
    rate: int = 20,
    codec: str = "libx264",
    pixels: str = "yuv420p",
) -> None:
    """Encode a video anew, from changed pictures, each at a time of its own; sound is copied."""
    frames = change(pictures_of(path))
    old = path.with_suffix(".old.mp4")
    path.rename(old)
    with av.open(str(old)) as source, av.open(str(path), "w") as out:
        sound = source.streams.audio[0]
        video = out.add_stream(codec, rate=rate)
        video.height, video.width = frames[0].shape[:2] if frames else (32, 48)
        video.pix_fmt, video.codec_context.time_base = pixels, Fraction(1, 1000)
        copied = out.add_stream_from_template(sound)
        for number, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame.pts, frame.time_base = round(1000 * at(number)), Fraction(1, 1000)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for packet in source.demux(sound):
            if packet.size:
                packet.stream = copied
                out.mux(packet)
    old.unlink()


def every_picture(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[list], list]:
    return lambda frames: [change(rgb) for rgb in frames]


def span_of(value: int) -> Callable[[list], list]:
    return lambda frames: [
        np.full_like(rgb, value) if 20 <= number < 40 else rgb for number, rgb in enumerate(frames)
    ]


def boxes(raw: bytes, kind: bytes) -> list[int]:
    """Return where the boxes of a kind hold their content."""
    found, place = [], raw.find(kind)
    while place >= 0:
        found.append(place + 4)
        place = raw.find(kind, place + 4)
    return found


def edit_list(path: Path, track: int, cut_s: float) -> None:
    """Let a track's edit list skip its first part: players show the rest from time 0 on."""
    raw = bytearray(path.read_bytes())
    place, clock = boxes(raw, b"elst")[track], boxes(raw, b"mdhd")[track]
    (ticks_hz,) = struct.unpack_from(">I", raw, clock + 12)
    version, n_edits = raw[place], struct.unpack_from(">I", raw, place + 4)[0]
    assert (version, n_edits) == (0, 1)
    (start,) = struct.unpack_from(">i", raw, place + 12)
    struct.pack_into(">i", raw, place + 12, start + round(cut_s * ticks_hz))
    path.write_bytes(raw)


def clock_rate(path: Path, track: int, factor: float) -> None:
    """Let a track's clock tick faster: the same packets last less."""
    raw = bytearray(path.read_bytes())
    place = boxes(raw, b"mdhd")[track] + 12
    (ticks_hz,) = struct.unpack_from(">I", raw, place)
    struct.pack_into(">I", raw, place, round(factor * ticks_hz))
    path.write_bytes(raw)


def rotated(path: Path) -> None:
    """Say in the track's header that the picture is to be turned by 90 degrees."""
    raw = bytearray(path.read_bytes())
    place = boxes(raw, b"tkhd")[0] + 40
    struct.pack_into(">9i", raw, place, 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(raw)


def bytes_changed(
    path: Path, change: Callable[[bytearray, np.random.Generator], Any], rng: np.random.Generator
) -> None:
    raw = bytearray(path.read_bytes())
    found = change(raw, rng)
    path.write_bytes(raw if found is None else found)


def unknown_codec(raw: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(raw).replace(b"avc1", b"xyz1")


def overwritten(value: int | None) -> Callable[[bytearray, np.random.Generator], None]:
    def change(raw: bytearray, rng: np.random.Generator) -> None:
        start = int(rng.integers(len(raw) // 3, len(raw) // 2))
        raw[start : start + 4000] = rng.bytes(4000) if value is None else bytes([value] * 4000)

    return change


def index_flipped(raw: bytearray, rng: np.random.Generator) -> None:
    """Flip bits of the index alone, which lies in front of the packets."""
    end = raw.find(b"mdat")
    head = raw[:end]
    flip_bits(head, 3, rng)
    raw[:end] = head


def without_index(path: Path) -> None:
    """Cut a file whose index would come last: there is none."""
    remuxed(path)
    raw = path.read_bytes()
    path.write_bytes(raw[: raw.rfind(b"moov") - 4])


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere.mp4")


PICTURES: dict[str, Callable[[Path], object]] = {
    "absent": Path.unlink,
    "a folder": as_folder,
    "link to nothing": dangling,
    "without index": without_index,
    "only sound": partial(remuxed, edit=lost(slice(None), NONE)),
    "packed anew": remuxed,
    "fragmented": partial(remuxed, movflags="frag_keyframe+empty_moov+default_base_moof"),
    "short": partial(encoded, change=lambda frames: frames[:-3]),
    "long": partial(encoded, change=lambda frames: frames + frames[-3:]),
    "half": partial(encoded, change=lambda frames: frames[:30]),
    "one frame": partial(encoded, change=lambda frames: frames[:1]),
    "other fps": partial(encoded, at=lambda number: number / 30, rate=30),
    "twice as slow": partial(remuxed, edit=stretched),
    "other size": partial(encoded, change=every_picture(lambda rgb: rgb[::2, ::2])),
    "wrong dtype": partial(encoded, codec="mpeg4"),
    "wrong axes": partial(encoded, change=every_picture(lambda rgb: rgb.swapaxes(0, 1))),
    "tiny": partial(encoded, change=every_picture(lambda rgb: rgb[:2, :2])),
    "dropped frames": partial(
        encoded,
        change=lambda frames: frames[:20] + frames[30:],
        at=lambda number: (number if number < 20 else number + 10) / 20,
    ),
    "every third dropped": partial(
        encoded,
        change=lambda frames: [rgb for number, rgb in enumerate(frames) if number % 3],
        at=lambda number: (number // 2 * 3 + number % 2 + 1) / 20,
    ),
    "variable rate": partial(encoded, at=lambda number: (number + 8 * (number > 30)) / 20),
    "zero span": partial(encoded, change=span_of(0)),
    "huge span": partial(encoded, change=span_of(255)),
    "shifted start": partial(remuxed, edit=late(0.5, 0)),
    "all shifted": partial(remuxed, edit=late(0.5, 0.5)),
    "edit list": partial(edit_list, track=0, cut_s=0.5),
    "clock rate": partial(clock_rate, track=0, factor=1.5),
    "rotated": rotated,
}
RAW: dict[str, Callable[[bytearray, np.random.Generator], Any]] = {
    "empty": lambda raw, rng: b"",
    "strings": lambda raw, rng: b"<html>Too many requests</html>" * 50,
    **{
        f"truncated at {share:.0%}": lambda raw, rng, s=share: raw[: int(s * len(raw))]
        for share in (0.01, 0.05, 0.3, 0.6, 0.95)
    },
    "garbage appended": lambda raw, rng: raw + rng.bytes(10_000),
    "garbage in front": lambda raw, rng: rng.bytes(100) + raw,
    "unknown codec": unknown_codec,
    "zeroed stretch": overwritten(0),
    "stretch of ones": overwritten(255),
    "random stretch": overwritten(None),
}
SOUND: dict[str, Callable[[Path], object]] = {
    "absent": partial(remuxed, edit=lost(NONE, slice(None))),
    "short": partial(remuxed, edit=lost(NONE, slice(-7, None))),
    "half": partial(remuxed, edit=sound_half),
    "long": partial(remuxed, edit=sound_twice),
    "shifted start": partial(remuxed, edit=late(0, 0.8)),
    "hole": partial(remuxed, edit=lost(NONE, slice(40, 90))),
    "piece cut out": partial(remuxed, edit=sound_closed_up),
    "edit list": partial(edit_list, track=1, cut_s=0.5),
    "clock rate": partial(clock_rate, track=1, factor=1.5),
}
CODED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "zero span": lambda mono: np.where(np.arange(mono.size) // SOUND_HZ == 1, 0, mono),
    "huge span": lambda mono: np.where(np.arange(mono.size) // SOUND_HZ == 1, 1e4 * mono, mono),
    "NaN span": lambda mono: np.where(np.arange(mono.size) // SOUND_HZ == 1, np.nan, mono),
    "inf span": lambda mono: np.where(np.arange(mono.size) // SOUND_HZ == 1, np.inf, mono),
    "empty": lambda mono: mono[:0],
}


def float_sound(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Store the sound as plain 32-bit floats, which can hold what AAC cannot."""
    with av.open(str(path)) as container:
        parts = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    mono = change(np.concatenate(parts)).astype(np.float32)
    old = path.with_suffix(".old.mp4")
    path.rename(old)
    with av.open(str(old)) as source, av.open(str(path), "w", format="mov") as out:
        video = out.add_stream_from_template(source.streams.video[0])
        sound = out.add_stream("pcm_f32le", rate=SOUND_HZ, layout="mono")
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = video
                out.mux(packet)
        if mono.size:
            frame = av.AudioFrame.from_ndarray(mono[None], format="flt", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = SOUND_HZ, Fraction(1, SOUND_HZ), 0
            out.mux(sound.encode(frame))
            out.mux(sound.encode(None))
    old.unlink()


def cases() -> Iterator[Case]:
    for camera in CAMERAS:
        name = f"{camera}.mp4"
        for kind, change in PICTURES.items():
            yield case(camera, name, kind, lambda path, rng, change=change: change(path))
        for kind, change in RAW.items():
            yield case(camera, name, kind, partial(bytes_changed, change=change))
        for seed in range(4):
            change = partial(bytes_changed, change=index_flipped)
            yield case(camera, name, "index's bit flips", change, seed)
            yield from flips(camera, name, 0, seed)
    name = f"{layout.AUDIO_CAMERA}.mp4"
    for kind, change in SOUND.items():
        yield case("audio", name, kind, lambda path, rng, change=change: change(path))
    for kind, change in CODED.items():
        yield case("audio", name, kind, lambda path, rng, change=change: float_sound(path, change))
    for seed in range(3):
        yield from flips("audio", name, 1, seed)


def case(
    stream: str,
    name: str,
    kind: str,
    plant: Callable[[Path, np.random.Generator], object],
    seed: int = 0,
) -> Case:
    return Case(stream, kind, name, lambda folder, rng: plant(folder / name, rng=rng), seed)


def flips(stream: str, name: str, track: int, seed: int) -> Iterator[Case]:
    for n_bits in (1, 20):

        def plant(path: Path, rng: np.random.Generator, n_bits: int = n_bits) -> None:
            remuxed(path, flipped(track, n_bits, rng))

        yield case(stream, name, f"bit flips ({n_bits})", plant, seed)
