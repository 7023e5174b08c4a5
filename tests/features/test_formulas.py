"""Each formula against a plain, slow writing-out of the contract."""

import hashlib
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xperience.features import audio, contracts, depth, video, windows
from xperience.recording import media
from xperience.recording.plausible import DepthLimits

from .conftest import seven

LABELS = st.lists(st.sampled_from(["a", "b", "c", "", "N/A", " n/a "]), max_size=20)
VALUES = st.one_of(st.floats(-1000, 1000, width=32), st.sampled_from([np.nan, np.inf, -np.inf]))


@given(LABELS)
@example(["a"] * 3 + ["b"] * 2)
@example(["a", "b"])
def test_window_label(labels: list[str]) -> None:
    said = [label for label in labels if label.strip().lower() not in ("", "n/a")]
    label, share = windows.window_label(labels)
    if not said:
        assert (label, share) == (None, 0.0)
        return
    best = max(said.count(one) for one in said)
    first = next(one for one in said if said.count(one) == best)
    assert share == best / len(said)
    assert label == (first if best / len(said) >= 0.6 else None)


@given(st.integers(20, 90))
def test_windows_cut_from_frames(n_frames: int) -> None:
    frames = np.arange(3 * n_frames).reshape(n_frames, 3)
    starts = windows.window_starts(n_frames)
    assert starts.tolist() == [start for start in range(0, n_frames, 5) if start + 20 <= n_frames]
    np.testing.assert_array_equal(
        windows.cut(frames), [frames[start : start + 20] for start in starts]
    )


@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 24), st.integers(1, 4)), elements=VALUES))
def test_stats_count_what_is_not_finite_as_zero(frames: np.ndarray) -> None:
    got = windows.stats(frames)
    assert got.dtype == np.float32
    plain = seven(np.where(np.isfinite(frames), frames, 0))
    np.testing.assert_allclose(got, plain, rtol=1e-4, atol=2e-3)


@given(
    hnp.arrays(np.float32, (20, 3), elements=st.floats(-100, 100, width=32)),
    st.sets(st.integers(0, 19), max_size=8),
    st.sampled_from([np.nan, np.inf]),
)
def test_stats_over_what_is_there(frames: np.ndarray, lost: set[int], what: float) -> None:
    there = np.array([i not in lost for i in range(20)])
    gappy = np.where(there[:, None], frames, np.float32([1, what, 2]))
    (got,) = windows.stats_of_known(gappy[None])
    if not lost:
        np.testing.assert_array_equal(got, windows.stats(frames))
    elif len(lost) > 4:
        assert np.isnan(got).all()
    else:
        np.testing.assert_allclose(got, seven(frames, there), rtol=1e-4, atol=1e-3)


@given(st.text(alphabet="aAbB_09 ,.äÄß\nİ", max_size=40))
@example("Cup cup CUP")
def test_hashed_words(words: str) -> None:
    want = np.zeros(128)
    for token in re.findall("[a-zA-Z0-9_]+", words.lower()):
        digest = hashlib.blake2b(token.encode(), digest_size=8).digest()
        number = digest[0] + 256 * digest[1] + 65536 * digest[2] + 16777216 * digest[3]
        want[number % 128] += 1.0 if digest[4] % 2 else -1.0
    size = np.sqrt((want**2).sum())
    np.testing.assert_allclose(
        contracts.hashed_words(words), want / size if size else want, atol=1e-6
    )


SIDES = st.one_of(st.integers(1, 12).map(lambda cells: 32 * cells), st.integers(1, 300))


@given(height=SIDES, width=SIDES, seed=st.integers(0, 99), few=st.booleans())
@example(height=64, width=64, seed=0, few=False)
@example(height=64, width=96, seed=0, few=True)
@example(height=32, width=32, seed=0, few=False)
@example(height=1536, width=2048, seed=0, few=False)
@settings(max_examples=60)
def test_shrink_is_opencv_bit_for_bit(height: int, width: int, seed: int, few: bool) -> None:
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 4 if few else 256, (height, width, 3), dtype=np.uint8)
    want = cv2.resize(rgb, (32, 32), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(video.shrink(rgb), want)


@pytest.mark.parametrize("height", [32 * 257, 32 * 258])
def test_shrink_of_very_tall_pictures_does_not_overflow(height: int) -> None:
    rgb = np.full((height, 32, 3), 255, dtype=np.uint8)
    np.testing.assert_array_equal(video.shrink(rgb), np.full((32, 32, 3), 255))


def plain_picture(rgb: np.ndarray) -> np.ndarray:
    """98 values of one 32x32 picture."""
    unit = rgb.astype(np.float64) / 255
    histograms = [np.histogram(unit[..., c], bins=8, range=(0, 1))[0] / 1024 for c in range(3)]
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey.astype(np.float32) / 255, (8, 8), interpolation=cv2.INTER_AREA)
    dy, dx = np.gradient(grey.astype(np.float64) / 255)
    edges = [abs(dx).mean(), abs(dy).mean(), abs(dx).std(), abs(dy).std()]
    return np.concatenate(
        [unit.mean((0, 1)), unit.std((0, 1)), *histograms, small.reshape(-1), edges]
    )


@given(hnp.arrays(np.uint8, (2, 32, 32, 3)))
@example(np.resize(np.arange(256, dtype=np.uint8), (2, 32, 32, 3)))
@settings(max_examples=40)
def test_picture_features(rgb: np.ndarray) -> None:
    got = video.frame_features(rgb)
    np.testing.assert_allclose(got, [plain_picture(one) for one in rgb], atol=2e-5)


METRES = st.one_of(
    st.floats(0, 8, width=16),
    st.sampled_from([0.0, -1.0, np.nan, np.inf, -np.inf, 6e-8, 65504.0]),
)


def plain_depth(depth_m: np.ndarray, sure: np.ndarray, near_m: float, far_m: float) -> np.ndarray:
    valid = depth_m[np.isfinite(depth_m) & (depth_m > 0)].astype(np.float64)
    eight = np.zeros(8)
    if valid.size:
        levels = np.percentile(valid, [10, 50, 90])
        spread = [valid.mean(), valid.std(), valid.min(), valid.max()]
        eight = np.array([*spread, *levels, valid.size / depth_m.size])
    known = np.where(np.isfinite(depth_m), depth_m, 0).astype(np.float32)
    unit = np.clip((known - near_m) / (far_m - near_m), 0, 1).astype(np.float32)
    share = sure.astype(np.float32) / (255 if sure.max() > 1 else 1)
    pictures = [cv2.resize(p, (8, 8), interpolation=cv2.INTER_AREA) for p in (unit, share)]
    sure_of = share[np.isfinite(depth_m) & (depth_m > 0)]
    four = [share.mean(), share.std(), sure_of.min(initial=1) if sure_of.size else 0, share.max()]
    return np.concatenate([eight, pictures[0].reshape(-1), four, pictures[1].reshape(-1)])


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, ">f2", ">f4"])
@given(data=st.data())
@settings(max_examples=30)
def test_depth_features(kind: type, data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    depth_m = data.draw(hnp.arrays(np.float16, shape, elements=METRES)).astype(kind)
    sure = data.draw(hnp.arrays(np.uint8, shape))
    got = depth.frame_features(depth_m[None], sure[None], (0.5, 4.0))
    np.testing.assert_allclose(got[0], plain_depth(depth_m, sure, 0.5, 4.0), rtol=2e-4, atol=1e-5)


@given(
    hnp.arrays(np.float16, (4, 5), elements=st.sampled_from([0.0, 1.0, np.nan, np.inf, 2.5])),
    hnp.arrays(np.uint8, (4, 5)),
    st.sampled_from([np.float16, np.float32]),
)
@settings(max_examples=40)
def test_published_knows_no_least_confidence_and_nothing_else_differs(
    depth_m: np.ndarray, sure: np.ndarray, kind: type
) -> None:
    depth_m[0, :2] = 3.5, 1.5  # not one value throughout
    depth_m = depth_m.astype(kind)[None]
    rows = depth.frame_features(depth_m, sure[None], (0, 4))
    kept = depth.kept_rows(depth_m, sure[None], (0, 4), DepthLimits(0, 4, 1, ()))
    np.testing.assert_array_equal(depth.as_corrected(kept), rows)
    published = depth.as_published(kept)
    assert published[0, 74] == 0
    np.testing.assert_array_equal(np.delete(published, 74), np.delete(rows, 74))


def plain_sound(samples: np.ndarray) -> np.ndarray:
    """24 values of one frame's samples."""
    x, n = samples.astype(np.float64), len(samples)
    power = np.abs(np.fft.rfft(x * np.hanning(n))) ** 2
    frequency = np.fft.rfftfreq(n, 1 / 16_000)
    signs = [value < 0 or (value == 0 and np.signbit(value)) for value in x]
    crossings = np.mean([a != b for a, b in pairwise(signs)]) if n > 1 else 0.0
    total = power.sum()
    level = [np.sqrt((x**2).mean()), abs(x).mean(), abs(x).max(), crossings, np.log1p(total / n)]
    if total <= 1e-12:
        return np.array([*level, *np.zeros(19)])
    centroid = (power * frequency).sum() / total
    bandwidth = np.sqrt((power * (frequency - centroid) ** 2).sum() / total)
    roll_off = frequency[np.argmax(np.cumsum(power) >= 0.85 * total)]
    edges = np.geomspace(50, 8000, 17)
    bands = [
        np.log1p(power[(frequency >= low) & (frequency < high)].sum())
        for low, high in pairwise(edges)
    ]
    size = np.linalg.norm(bands)
    tone = np.array(bands) / size if size > 0 else np.array(bands)
    return np.array([*level, centroid / 8000, bandwidth / 8000, roll_off / 8000, *tone])


@given(st.lists(st.integers(0, 900), min_size=1, max_size=5), st.integers(0, 9), st.booleans())
@settings(max_examples=40)
def test_sound_features(lengths: list[int], seed: int, silent: bool) -> None:
    rng = np.random.default_rng(seed)
    pieces = [rng.normal(0, 0 if silent else 0.1, n).astype(np.float32) for n in lengths]
    got = audio.segment_features(pieces)
    want = [plain_sound(piece) if len(piece) else np.full(24, np.nan) for piece in pieces]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@given(
    cuts=st.lists(st.integers(1, 5000), max_size=12), fps=st.sampled_from([20.0, 20.00137, 29.97])
)
@settings(max_examples=20)
def test_sound_does_not_depend_on_how_it_arrives(cuts: list[int], fps: float) -> None:
    sound = np.random.default_rng(1).normal(0, 0.1, 30_000).astype(np.float32)

    def in_parts(*_: object, counted: bool) -> Iterator[tuple[int, np.ndarray]]:
        assert counted
        edges = [0, *sorted({cut for cut in np.cumsum(cuts) if cut < len(sound)}), len(sound)]
        yield from ((a, sound[a:b]) for a, b in pairwise(edges))

    bounds = audio.frame_bounds(50, fps)
    assert bounds.tolist() == [round(frame / fps * 16_000) for frame in range(51)]
    pieces = [sound[a:b] for a, b in pairwise(bounds) if a < len(sound)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(media, "read_sound", in_parts)
        patch.setattr(audio, "_BATCH", 7)
        edges = np.stack([bounds[:-1], bounds[1:]], axis=1)
        got = np.concatenate(list(audio.audio_rows(Path("any"), edges, counted=True)))
    assert len(got) == len(pieces)
    np.testing.assert_array_equal(got, audio.segment_features(pieces))


@given(hnp.arrays(np.float32, st.tuples(st.integers(0, 30), st.just(3)), elements=VALUES))
def test_point_cloud(points: np.ndarray) -> None:
    got = contracts.point_cloud_features(points)
    known = points[np.isfinite(points).all(axis=1)].astype(np.float64)
    if not len(known):
        np.testing.assert_array_equal(got, np.zeros(22))
        return
    far = np.linalg.norm(known - np.median(known, axis=0), axis=1)
    limit = np.percentile(far, 95)
    if np.abs(far - limit).min() > 1e-2 or len(known) == 1:  # else rounding decides
        kept = known[far <= limit]
        rows = [kept.mean(0), kept.std(0), kept.min(0), kept.max(0)]
        rows += [np.percentile(kept, level, axis=0) for level in (10, 50, 90)]
        want = np.append(np.concatenate(rows), np.log1p(len(kept)))
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-3)
