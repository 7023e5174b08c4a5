"""Pictures of a scene: a ray caster of boxes, capsules and cones in a room, compiled with numba.

A picture is cut into tiles of 8 by 8 pixels; each tile looks only at solids whose bounding ball its
cone of rays can meet. All 64 rays of a tile meet one solid at a time, in loops without branches,
which the compiler turns into vector instructions; only the colours of what is seen are worked out.
Colour, depth and the number of the solid come from the same first hit.
"""

import math

import numpy as np
from numba import njit
from numba.core import event

from xperience.progress import OnProgress
from xperience.recording.geometry import CameraModel, Transform
from xperience.standin.kitchen import CAPSULE, CONE, KITCHEN, METAL, WOOD
from xperience.standin.scene import Scene, build_scene
from xperience.standin.sensors import cameras
from xperience.standin.settings import StandinSettings

TILE = 8
SHADOW_CELLS = (40, 108)  # twice as many each way in pictures of 240 pixels and wider
ROOM_LOW, ROOM_HIGH = (-1.9, -1.9, 0.0), (1.9, 1.1, 2.6)
LIGHT = (-0.36, -0.42, 0.83)

_FADE_RAD = 1.45  # no lens of the rig sees further from its axis than this
_THROW_SHADOWS = {*KITCHEN, "left_hand", "right_hand", "sleeve", "arm"}
_N_COMPILED = 42  # functions, for the progress bar alone
_DULL = 10  # solids up to this number, the furniture's, have no gloss

_N = TILE * TILE
_N_LANES = 15
_DX, _DY, _DZ, _EX, _EY, _EZ, _T, _HIT, _NX, _NY, _NZ, _R, _G, _B, _LOOK = range(
    0, _N_LANES * _N, _N
)
"""Where in a tile's workspace, a flat array, each quantity of its 64 rays begins: direction and its
reciprocal, distance and solid of the first hit (-1 is the room), normal, colour, texture. One array
with known places lets the compiler see that no two of them overlap."""

_options = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "arcp", "nsz", "reassoc"},
}
_compiled = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_options)


class Renderer:
    """Draws one camera's pictures of a scene, frame by frame, into its own buffers.

    The lens ``model`` has the size to draw; the seed paints the walls.
    """

    def __init__(self, model: CameraModel, scene: Scene, seed: int):
        self.solids = scene.solids
        owners = enumerate(self.solids.owner)
        self.shadows = np.array([k for k, owner in owners if owner in _THROW_SHADOWS])
        tint = np.random.default_rng([seed, 5]).uniform(-0.08, 0.08, 3)
        self.wall = (np.array([0.80, 0.77, 0.70]) + tint).astype(np.float32)
        width, height = model.size_px
        v, u = np.mgrid[:height, :width]
        rays = model.rays(np.stack([u, v], axis=-1) + 0.5)
        rays[rays[..., 2] < np.cos(_FADE_RAD)] = np.nan
        self.rays = _tiled(rays.astype(np.float32))
        self.cones = _tile_cones(self.rays)
        self.rgb = np.zeros((height, width, 3), dtype=np.uint8)
        self.depth_m = np.zeros((height, width), dtype=np.float32)  # along the optical axis
        self.hits = np.zeros((height, width), dtype=np.int16)  # solids; -1 the room, -2 nothing

    def draw(self, frame: int, to_camera: Transform) -> None:
        """Draw a frame, seen from the place that the world-to-camera transform says."""
        back = to_camera.inverse()
        cast(
            self.rays,
            self.cones,
            back.translation.astype(np.float32),
            np.ascontiguousarray(back.rotation, dtype=np.float32),
            self.solids.kind,
            self.solids.geometry[frame],
            self.solids.looks,
            self.shadows,
            self.wall,
            self.rgb,
            self.depth_m,
            self.hits,
        )


def compile_caster(tell: OnProgress) -> None:
    """Compile the ray caster, unless that was done before; it takes seconds."""

    class Listener(event.Listener):
        done = 0

        def on_start(self, _event: event.Event) -> None:
            tell("compile", min(self.done, _N_COMPILED - 1), _N_COMPILED)
            self.done += 1

        def on_end(self, _event: event.Event) -> None:
            """Nothing to tell: what ends was told when it began."""

    settings = StandinSettings(frames=40, size_px=(2 * TILE, 2 * TILE))
    scene, camera = build_scene(settings), next(iter(cameras(settings).values()))
    with event.install_listener("numba:compile", Listener()):
        Renderer(camera.model, scene, settings.seed).draw(0, (camera.from_rig @ scene.rig)[0])
    tell("compile", _N_COMPILED, _N_COMPILED)


def _tiled(rays: np.ndarray) -> np.ndarray:
    """Return rays, shape (height, width, 3), tile by tile: (down, across, 3, 64), NaN outside."""
    height, width = rays.shape[:2]
    down, across = -(-height // TILE), -(-width // TILE)
    whole = np.full((down * TILE, across * TILE, 3), np.nan, dtype=rays.dtype)
    whole[:height, :width] = rays
    tiles = whole.reshape(down, TILE, across, TILE, 3).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(tiles).reshape(down, across, 3, _N)


def _tile_cones(rays: np.ndarray) -> np.ndarray:
    """Return the middle direction and half angle of each tile, shape (down, across, 4)."""
    rays = np.swapaxes(rays, 2, 3).astype(np.float64)
    seen = np.isfinite(rays)
    middle = np.where(seen, rays, 0).sum(2)
    middle /= np.maximum(np.linalg.norm(middle, axis=-1, keepdims=True), 1e-9)
    cosine = np.where(seen[..., 0], (rays @ middle[..., None])[..., 0], 1.0)
    spread = np.arccos(np.clip(cosine.min(-1), -1, 1)) + 1e-3
    return np.concatenate([middle, spread[..., None]], axis=-1).astype(np.float32)


@_compiled
def _prepare(origin, kinds, geometry, pre):
    """Set what the ray tests need of each solid, seen from one origin.

    Columns: axis (0-2), origin against end a (3-5), axis·axis (6), origin·axis (7), radii (8, 9),
    the tests' constant term (10), the slant term of a cone (11, 12).
    """
    for k in range(len(kinds)):
        g = geometry[k]
        bx, by, bz = g[3] - g[0], g[4] - g[1], g[5] - g[2]
        ox, oy, oz = origin[0] - g[0], origin[1] - g[1], origin[2] - g[2]
        m0 = bx * bx + by * by + bz * bz
        m1 = ox * bx + oy * by + oz * bz
        m5 = ox * ox + oy * oy + oz * oz
        ra, rb = g[6], g[7]
        rr = ra - rb
        pre[k, 0], pre[k, 1], pre[k, 2] = bx, by, bz
        pre[k, 3], pre[k, 4], pre[k, 5] = ox, oy, oz
        pre[k, 6], pre[k, 7], pre[k, 8], pre[k, 9] = m0, m1, ra, rb
        hy = m0 + rr * rr
        if kinds[k] == CAPSULE:
            pre[k, 10] = m0 * m5 - m1 * m1 - ra * ra * m0
            pre[k, 11] = m5 - ra * ra
        else:
            pre[k, 10] = m0 * m0 * m5 - m1 * m1 * hy + m0 * ra * (rr * m1 * 2.0 - m0 * ra)
            pre[k, 11], pre[k, 12] = hy, rr


@_compiled
def _balls(origin, axes, kinds, geometry, balls):
    """Set each solid's bounding ball in camera axes: direction, then the angle that it fills.

    Columns: direction (3), cosine and sine of the half angle; cosine 2 is hidden, -2 is all around.
    """
    for k in range(len(kinds)):
        g = geometry[k]
        r = max(g[6], g[7])
        balls[k, 3] = 2.0
        if kinds[k] != 3 and r <= 0.0:
            continue
        x, y, z = (g[0] + g[3]) / 2, (g[1] + g[4]) / 2, (g[2] + g[5]) / 2
        half = math.sqrt((x - g[0]) ** 2 + (y - g[1]) ** 2 + (z - g[2]) ** 2)
        r = half if kinds[k] == 3 else (half + r if kinds[k] == 1 else math.hypot(half, r))
        x, y, z = x - origin[0], y - origin[1], z - origin[2]
        away = math.sqrt(x * x + y * y + z * z)
        for i in range(3):
            balls[k, i] = (axes[0, i] * x + axes[1, i] * y + axes[2, i] * z) / max(away, 1e-9)
        balls[k, 4] = min(1.0, r / max(away, 1e-9))
        balls[k, 3] = -2.0 if away <= r else math.sqrt(1.0 - balls[k, 4] ** 2)


@_compiled
def _shadow_map(table, geometry, kinds, casters, shade):
    """Set the share of the lamp's light on each cell of the table top, shape (cells y, cells x)."""
    shade[:] = 1.0
    ny, nx = shade.shape
    sx, sy = (table[3] - table[0]) / nx, (table[4] - table[1]) / ny
    lx, ly = LIGHT[0] / LIGHT[2], LIGHT[1] / LIGHT[2]
    for c in casters:
        g = geometry[c]
        r = max(g[6], g[7]) * (1.0 if kinds[c] == 1 else 0.92)
        high, low = max(g[2], g[5]) - table[5], min(g[2], g[5]) - table[5]
        if r <= 0.0 or low > 0.5 or high < 0.0:
            continue
        # both ends slide along the light onto the table: a capsule-shaped shadow
        ax, ay = g[0] - lx * (g[2] - table[5]), g[1] - ly * (g[2] - table[5])
        bx, by = g[3] - lx * (g[5] - table[5]) - ax, g[4] - ly * (g[5] - table[5]) - ay
        bb = bx * bx + by * by
        u0 = max(0, int((min(ax, ax + bx) - r - table[0]) / sx))
        u1 = min(nx - 1, int((max(ax, ax + bx) + r - table[0]) / sx))
        v0 = max(0, int((min(ay, ay + by) - r - table[1]) / sy))
        v1 = min(ny - 1, int((max(ay, ay + by) + r - table[1]) / sy))
        for v in range(v0, v1 + 1):
            for u in range(u0, u1 + 1):
                x, y = table[0] + (u + 0.5) * sx - ax, table[1] + (v + 0.5) * sy - ay
                s = (x * bx + y * by) / bb if bb > 1e-12 else 0.0
                s = max(0.0, min(1.0, s))
                x, y = x - s * bx, y - s * by
                if x * x + y * y < r * r:
                    shade[v, u] = 0.66


@_compiled
def _meet_capsule(pre, k, w):
    """Let the rays meet a capsule: its side, or the ball at the end that they pass."""
    m0, m1 = pre[k, 6], pre[k, 7]
    bx, by, bz, ox, oy, oz = pre[k, 0], pre[k, 1], pre[k, 2], pre[k, 3], pre[k, 4], pre[k, 5]
    c10, c11 = pre[k, 10], pre[k, 11]
    c12 = c11 - 2.0 * m1 + m0
    for i in range(_N):
        bard = bx * w[_DX + i] + by * w[_DY + i] + bz * w[_DZ + i]
        rdoa = ox * w[_DX + i] + oy * w[_DY + i] + oz * w[_DZ + i]
        a = m0 - bard * bard
        b = m0 * rdoa - m1 * bard
        h = b * b - a * c10
        side = (-b - math.sqrt(h)) / a
        y = m1 + side * bard if a > 1e-9 else -1.0
        low = y <= 0.0
        bb = rdoa if low else rdoa - bard
        cc = c11 if low else c12
        cap = -bb - math.sqrt(bb * bb - cc)
        at = side if (y > 0.0) & (y < m0) else cap
        at = -1.0 if (a > 1e-9) & (h < 0.0) else at
        nearer = (at > 0.01) & (at < w[_T + i])
        w[_T + i] = at if nearer else w[_T + i]
        w[_HIT + i] = k if nearer else w[_HIT + i]


@_compiled
def _meet_cone(pre, k, w):
    """Let the rays meet a capped cone."""
    m0, m1, ra, rb = pre[k, 6], pre[k, 7], pre[k, 8], pre[k, 9]
    bx, by, bz, ox, oy, oz = pre[k, 0], pre[k, 1], pre[k, 2], pre[k, 3], pre[k, 4], pre[k, 5]
    c10, hy, rr = pre[k, 10], pre[k, 11], pre[k, 12]
    for i in range(_N):
        dx, dy, dz = w[_DX + i], w[_DY + i], w[_DZ + i]
        m2 = bx * dx + by * dy + bz * dz
        below, above = (m1 < 0.0) & (m2 > 0.0), (m1 > m0) & (m2 < 0.0)
        flat = (-m1 if below else m0 - m1) / m2
        px = ox + flat * dx - (0.0 if below else bx)
        py = oy + flat * dy - (0.0 if below else by)
        pz = oz + flat * dz - (0.0 if below else bz)
        r = ra if below else rb
        on_cap = (below | above) & (px * px + py * py + pz * pz < r * r)
        m3 = ox * dx + oy * dy + oz * dz
        k2 = m0 * m0 - m2 * m2 * hy
        k1 = m0 * m0 * m3 - m1 * m2 * hy + m0 * ra * (rr * m2)
        h = k1 * k1 - k2 * c10
        slant = (-k1 - math.sqrt(h)) / k2
        y = m1 + slant * m2
        slant = slant if (y > 0.0) & (y < m0) & (h >= 0.0) else -1.0
        at = flat if on_cap else slant
        nearer = (at > 0.01) & (at < w[_T + i])
        w[_T + i] = at if nearer else w[_T + i]
        w[_HIT + i] = k if nearer else w[_HIT + i]


@_compiled
def _meet_box(origin, g, k, w):
    """Let the rays meet a box."""
    ax, ay, az = g[k, 0] - origin[0], g[k, 1] - origin[1], g[k, 2] - origin[2]
    bx, by, bz = g[k, 3] - origin[0], g[k, 4] - origin[1], g[k, 5] - origin[2]
    for i in range(_N):
        x0, x1 = ax * w[_EX + i], bx * w[_EX + i]
        y0, y1 = ay * w[_EY + i], by * w[_EY + i]
        z0, z1 = az * w[_EZ + i], bz * w[_EZ + i]
        near = max(min(x0, x1), min(y0, y1), min(z0, z1))
        far = min(max(x0, x1), max(y0, y1), max(z0, z1))
        nearer = (near <= far) & (near > 0.01) & (near < w[_T + i])
        w[_T + i] = near if nearer else w[_T + i]
        w[_HIT + i] = k if nearer else w[_HIT + i]


@_compiled
def _meet_room(origin, g, w):
    """Let rays that met no solid meet the room, from inside."""
    k = 0
    ax, ay, az = g[k, 0] - origin[0], g[k, 1] - origin[1], g[k, 2] - origin[2]
    bx, by, bz = g[k, 3] - origin[0], g[k, 4] - origin[1], g[k, 5] - origin[2]
    for i in range(_N):
        x = max(ax * w[_EX + i], bx * w[_EX + i])
        y = max(ay * w[_EY + i], by * w[_EY + i])
        z = max(az * w[_EZ + i], bz * w[_EZ + i])
        w[_T + i] = min(x, y, z) if w[_HIT + i] < 0.0 else w[_T + i]


@_compiled
def _face_box(origin, g, k, number, w):
    """Set the normal, against the ray, where a box that hits call ``number`` was hit."""
    o0, o1, o2 = origin[0], origin[1], origin[2]
    ax, ay, az, bx, by, bz = g[k, 0], g[k, 1], g[k, 2], g[k, 3], g[k, 4], g[k, 5]
    for i in range(_N):
        px, py, pz = (
            o0 + w[_T + i] * w[_DX + i],
            o1 + w[_T + i] * w[_DY + i],
            o2 + w[_T + i] * w[_DZ + i],
        )
        x = min(abs(px - ax), abs(px - bx))
        y = min(abs(py - ay), abs(py - by))
        z = min(abs(pz - az), abs(pz - bz))
        on_x = (x <= y) & (x <= z)
        on_y = (y <= z) & (not on_x)
        here = w[_HIT + i] == number
        nx = -1.0 if w[_DX + i] > 0 else 1.0
        ny = -1.0 if w[_DY + i] > 0 else 1.0
        nz = -1.0 if w[_DZ + i] > 0 else 1.0
        nx = nx if on_x else 0.0
        ny = ny if on_y else 0.0
        nz = 0.0 if on_x | on_y else nz
        w[_NX + i] = nx if here else w[_NX + i]
        w[_NY + i] = ny if here else w[_NY + i]
        w[_NZ + i] = nz if here else w[_NZ + i]


@_compiled
def _face_capsule(pre, k, w):
    """Set the normal where a capsule was hit."""
    bx, by, bz, ox, oy, oz = pre[k, 0], pre[k, 1], pre[k, 2], pre[k, 3], pre[k, 4], pre[k, 5]
    m0, m1 = pre[k, 6], pre[k, 7]
    for i in range(_N):
        t, dx, dy, dz = w[_T + i], w[_DX + i], w[_DY + i], w[_DZ + i]
        y = m1 + t * (bx * dx + by * dy + bz * dz)
        s = max(0.0, min(1.0, y / m0)) if m0 > 1e-12 else 0.0
        nx, ny, nz = ox + t * dx - s * bx, oy + t * dy - s * by, oz + t * dz - s * bz
        size = math.sqrt(nx * nx + ny * ny + nz * nz)
        here = w[_HIT + i] == k
        w[_NX + i] = nx / size if here else w[_NX + i]
        w[_NY + i] = ny / size if here else w[_NY + i]
        w[_NZ + i] = nz / size if here else w[_NZ + i]


@_compiled
def _face_cone(pre, k, looks, w):
    """Set the normal where a cone was hit, and the colour of its opening."""
    bx, by, bz, ox, oy, oz = pre[k, 0], pre[k, 1], pre[k, 2], pre[k, 3], pre[k, 4], pre[k, 5]
    m0, m1, ra, rb, hy = pre[k, 6], pre[k, 7], pre[k, 8], pre[k, 9], pre[k, 11]
    slant = (ra - rb) * ra
    r, g, b = looks[k, 3], looks[k, 4], looks[k, 5]
    for i in range(_N):
        t, dx, dy, dz = w[_T + i], w[_DX + i], w[_DY + i], w[_DZ + i]
        y = m1 + t * (bx * dx + by * dy + bz * dz)
        ax, ay, az = ox + t * dx, oy + t * dy, oz + t * dz
        end = (y <= m0 * 1e-4) | (y >= m0 * (1 - 1e-4))
        top = y > m0 / 2
        out = math.sqrt((ax - bx) ** 2 + (ay - by) ** 2 + (az - bz) ** 2) / rb
        s = 1.0 if top else -1.0
        nx = bx * s if end else m0 * (m0 * ax + slant * bx) - bx * hy * y
        ny = by * s if end else m0 * (m0 * ay + slant * by) - by * hy * y
        nz = bz * s if end else m0 * (m0 * az + slant * bz) - bz * hy * y
        size = math.sqrt(nx * nx + ny * ny + nz * nz)
        here = w[_HIT + i] == k
        w[_NX + i] = nx / size if here else w[_NX + i]
        w[_NY + i] = ny / size if here else w[_NY + i]
        w[_NZ + i] = nz / size if here else w[_NZ + i]
        inside = here & end & top & (out < 0.86)
        w[_R + i] = r if inside else w[_R + i]
        w[_G + i] = g if inside else w[_G + i]
        w[_B + i] = b if inside else w[_B + i]
        w[_LOOK + i] = (0.0 if w[_LOOK + i] == WOOD else w[_LOOK + i]) if inside else w[_LOOK + i]


@_compiled
def _colour(k, looks, w):
    """Set the colour and texture where a solid was hit; return by how many rays."""
    r, g, b, tex = looks[k, 0], looks[k, 1], looks[k, 2], looks[k, 6]
    n = 0.0
    for i in range(_N):
        here = w[_HIT + i] == k
        n += 1.0 if here else 0.0
        w[_R + i] = r if here else w[_R + i]
        w[_G + i] = g if here else w[_G + i]
        w[_B + i] = b if here else w[_B + i]
        w[_LOOK + i] = tex if here else w[_LOOK + i]
    return n


@_compiled
def _sine(x):
    """Return the sine, without a call of a library, which would keep a loop from vectors."""
    n = math.floor(x / math.pi + 0.5)
    x -= n * math.pi
    q = x * x
    out = 1.0
    for c in (21 * 20, 19 * 18, 17 * 16, 15 * 14, 13 * 12, 11 * 10, 9 * 8, 7 * 6, 5 * 4, 3 * 2):
        out = 1.0 - out * q * (1.0 / c)
    odd = n - 2.0 * math.floor(n * 0.5)
    return x * out * (1.0 - 2.0 * odd)


@_compiled
def _grain(origin, w):
    """Draw the grain and planks of wood."""
    o0, o1, o2 = origin[0], origin[1], origin[2]
    for i in range(_N):
        t = w[_T + i]
        p0, p1, p2 = o0 + t * w[_DX + i], o1 + t * w[_DY + i], o2 + t * w[_DZ + i]
        grain = _sine(p1 * 85.0 + 3.0 * _sine(p0 * 2.7) + p2 * 40.0)
        plank = 0.86 if abs(p0 * 5.0 - math.floor(p0 * 5.0)) < 0.02 else 1.0
        tone = (1.0 + 0.08 * grain) * plank if w[_LOOK + i] == WOOD else 1.0
        w[_R + i] *= tone
        w[_G + i] *= tone
        w[_B + i] *= tone


@_compiled
def _light(origin, w):
    """Light the solids: from a lamp and from all around, with gloss."""
    o0 = origin[0]
    for i in range(_N):
        n0, n1, n2 = w[_NX + i], w[_NY + i], w[_NZ + i]
        d0, d1, d2 = w[_DX + i], w[_DY + i], w[_DZ + i]
        p0 = o0 + w[_T + i] * d0
        lamp = max(0.0, n0 * LIGHT[0] + n1 * LIGHT[1] + n2 * LIGHT[2])
        tone = 0.42 + 0.12 * n2 + 0.52 * lamp - 0.07 * p0
        metal = w[_LOOK + i] == METAL
        tone *= 0.80 + 0.35 * _sine(6.0 * n0 + 2.0 * n1) if metal else 1.0
        two = lamp * lamp
        four = two * two
        eight = four * four
        gloss = 0.5 * (eight * eight * eight) if metal else 0.0
        mirror = n0 * d0 + n1 * d1 + n2 * d2
        shine = (
            (d0 - 2 * mirror * n0) * LIGHT[0]
            + (d1 - 2 * mirror * n1) * LIGHT[1]
            + (d2 - 2 * mirror * n2) * LIGHT[2]
        )
        shine = max(0.0, shine)
        two = shine * shine
        four = two * two
        eight = four * four
        gloss += 0.25 * (eight * eight * eight * four * two) if w[_HIT + i] > _DULL else 0.0
        w[_R + i] = w[_R + i] * tone + gloss
        w[_G + i] = w[_G + i] * tone + gloss
        w[_B + i] = w[_B + i] * tone + gloss


@_compiled
def _paint_room(origin, wall, w):
    """Paint the room's walls, floor and ceiling, tiles and window."""
    o0, o1, o2 = origin[0], origin[1], origin[2]
    w0, w1, w2 = wall[0], wall[1], wall[2]
    for i in range(_N):
        n0, n1, n2 = w[_NX + i], w[_NY + i], w[_NZ + i]
        t = w[_T + i]
        p0, p1, p2 = o0 + t * w[_DX + i], o1 + t * w[_DY + i], o2 + t * w[_DZ + i]
        r, g, b = w0, w1, w2
        half = 0.5 * math.floor(p2 * 10.0)
        u, v = p0 * 6.6 + (half - math.floor(half)), p2 * 10.0
        joint = (u - math.floor(u) < 0.06) | (v - math.floor(v) < 0.09)
        tiled = (n1 < -0.5) & (p2 > 0.9) & (p2 < 1.44)
        r = (0.62 if joint else 0.84) if tiled else r
        g = (0.66 if joint else 0.89) if tiled else g
        b = (0.66 if joint else 0.88) if tiled else b
        window = (n0 > 0.5) & (p1 > -0.9) & (p1 < 0.5) & (p2 > 1.1) & (p2 < 2.1)
        bar = (abs(p1 + 0.2) < 0.03) | (abs(p2 - 1.6) < 0.03)
        r = (0.9 if bar else 0.75) if window else r
        g = (0.9 if bar else 0.92) if window else g
        b = (0.88 if bar else 1.25) if window else b
        half = 0.5 * (math.floor(p0 * 3.3) + math.floor(p1 * 3.3))
        odd, floor = half > math.floor(half), n2 > 0.5
        r = (0.47 if odd else 0.57) if floor else r
        g = (0.43 if odd else 0.53) if floor else g
        b = (0.40 if odd else 0.49) if floor else b
        ceiling = n2 < -0.5
        r = 0.93 if ceiling else r
        g = 0.92 if ceiling else g
        b = 0.90 if ceiling else b
        tone = 0.70 + 0.12 * n2 - 0.07 * p0 + 0.05 * n1
        tone = tone * 0.8 if (n2 < 0.5) & (p2 < 0.1) else tone
        here = w[_HIT + i] < 0.0
        w[_R + i] = r * tone if here else w[_R + i]
        w[_G + i] = g * tone if here else w[_G + i]
        w[_B + i] = b * tone if here else w[_B + i]


@_compiled
def _light_at(p0, p1, g, shade):
    """Return the shadow map at a point of the table, smoothed over neighbouring cells."""
    ny, nx = shade.shape
    x = (p0 - g[0, 0]) / (g[0, 3] - g[0, 0]) * nx - 0.5
    y = (p1 - g[0, 1]) / (g[0, 4] - g[0, 1]) * ny - 0.5
    u = max(0, min(nx - 2, math.floor(x)))
    v = max(0, min(ny - 2, math.floor(y)))
    fx, fy = max(0.0, min(1.0, x - u)), max(0.0, min(1.0, y - v))
    top = shade[v, u] * (1 - fx) + shade[v, u + 1] * fx
    low = shade[v + 1, u] * (1 - fx) + shade[v + 1, u + 1] * fx
    return top * (1 - fy) + low * fy


@_compiled
def _shade(origin, g, shade, w):
    """Let shadows fall on the table."""
    for i in range(_N):
        if w[_HIT + i] == 0.0 and w[_NZ + i] > 0.5:
            p0, p1 = origin[0] + w[_T + i] * w[_DX + i], origin[1] + w[_T + i] * w[_DY + i]
            lit = _light_at(p0, p1, g, shade)
            w[_R + i] *= lit
            w[_G + i] *= lit
            w[_B + i] *= lit


@_compiled
def _store(rays, row, col, w, tile, rgb, depth, hits):  # noqa: PLR0913, PLR0917
    """Store a tile, as far as it lies in the picture, at a row and column."""
    for i in range(3 * _N):
        tile[i] = np.int32(255.0 * min(1.0, max(0.0, w[_R + i])))
    for v in range(row, min(row + TILE, rgb.shape[0])):
        for u in range(col, min(col + TILE, rgb.shape[1])):
            i = (v - row) * TILE + u - col
            if rays[2, i] == rays[2, i]:  # else NaN
                rgb[v, u, 0], rgb[v, u, 1], rgb[v, u, 2] = tile[i], tile[_N + i], tile[2 * _N + i]
                depth[v, u], hits[v, u] = w[_T + i] * rays[2, i], np.int32(w[_HIT + i])
            else:
                rgb[v, u, 0], rgb[v, u, 1], rgb[v, u, 2] = 0, 0, 0
                depth[v, u], hits[v, u] = 0.0, -2


@_compiled
def _aim(rays, axes, w):
    """Set the rays' directions in world axes; they have met nothing yet."""
    a00, a01, a02 = axes[0, 0], axes[0, 1], axes[0, 2]
    a10, a11, a12 = axes[1, 0], axes[1, 1], axes[1, 2]
    a20, a21, a22 = axes[2, 0], axes[2, 1], axes[2, 2]
    for i in range(_N):
        rx, ry, rz = rays[0, i], rays[1, i], rays[2, i]
        w[_DX + i] = a00 * rx + a01 * ry + a02 * rz
        w[_DY + i] = a10 * rx + a11 * ry + a12 * rz
        w[_DZ + i] = a20 * rx + a21 * ry + a22 * rz
    for i in range(_N):
        w[_EX + i] = 1.0 / w[_DX + i] if abs(w[_DX + i]) > 1e-9 else 1e9
        w[_EY + i] = 1.0 / w[_DY + i] if abs(w[_DY + i]) > 1e-9 else 1e9
        w[_EZ + i] = 1.0 / w[_DZ + i] if abs(w[_DZ + i]) > 1e-9 else 1e9
        w[_T + i] = 1e9
        w[_HIT + i] = -1.0


@njit(cache=True, **_options)
def cast(rays, cones, origin, axes, kinds, geometry, looks, shadows, wall, rgb, depth, hits):  # noqa: PLR0912, PLR0913, PLR0915, PLR0917
    """Set one picture's colour, depth and hits (see `Renderer`), seen from an origin.

    The camera's axes are columns in world axes; the table, on which shadows fall, is solid 0.
    """
    width = rgb.shape[1]
    n_solids = len(kinds)
    balls = np.empty((n_solids, 5), dtype=np.float32)
    _balls(origin, axes, kinds, geometry, balls)
    pre = np.empty((n_solids, 13))
    _prepare(origin, kinds, geometry, pre)
    fine = 2 if width >= 240 else 1
    shade = np.empty((fine * SHADOW_CELLS[0], fine * SHADOW_CELLS[1]), dtype=np.float32)
    _shadow_map(geometry[0], geometry, kinds, shadows, shade)
    room = np.array(
        [[ROOM_LOW[0], ROOM_LOW[1], ROOM_LOW[2], ROOM_HIGH[0], ROOM_HIGH[1], ROOM_HIGH[2]]],
        dtype=np.float32,
    )
    near = np.empty(n_solids, dtype=np.int64)
    w, tile = np.empty(_N_LANES * _N), np.empty(3 * _N, dtype=np.uint8)
    for row in range(cones.shape[0]):
        for col in range(cones.shape[1]):
            cos_tile, sin_tile = math.cos(cones[row, col, 3]), math.sin(cones[row, col, 3])
            c0, c1, c2 = cones[row, col, 0], cones[row, col, 1], cones[row, col, 2]
            _aim(rays[row, col], axes, w)
            found = 0
            for k in range(n_solids):
                if balls[k, 3] > 1.5:
                    continue
                c = c0 * balls[k, 0] + c1 * balls[k, 1] + c2 * balls[k, 2]
                if balls[k, 3] < -1.5 or c >= balls[k, 3] * cos_tile - balls[k, 4] * sin_tile:
                    near[found] = k
                    found += 1
                    if kinds[k] == CAPSULE:
                        _meet_capsule(pre, k, w)
                    elif kinds[k] == CONE:
                        _meet_cone(pre, k, w)
                    else:
                        _meet_box(origin, geometry, k, w)
            _meet_room(origin, room, w)
            wood, table, left = False, False, float(_N)
            for f in range(found):
                k = near[f]
                seen = _colour(k, looks, w)
                if seen == 0.0:
                    continue
                left -= seen
                wood |= looks[k, 6] == WOOD
                table |= k == 0
                if kinds[k] == CAPSULE:
                    _face_capsule(pre, k, w)
                elif kinds[k] == CONE:
                    _face_cone(pre, k, looks, w)
                else:
                    _face_box(origin, geometry, k, k, w)
            if left < _N:
                if wood:
                    _grain(origin, w)
                _light(origin, w)
            if left > 0.0:
                _face_box(origin, room, 0, -1, w)
                _paint_room(origin, wall, w)
            if table:
                _shade(origin, geometry, shade, w)
            _store(rays[row, col], row * TILE, col * TILE, w, tile, rgb, depth, hits)
