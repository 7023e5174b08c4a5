"""Pictures of a scene: a ray caster of boxes, capsules and cones in a room, compiled with numba.

A picture is cut into tiles of 8 pixels; each tile looks only at solids whose bounding ball its cone
of rays can meet. Colour, depth and the number of the solid come from the same first hit.
"""

import math

import numpy as np
from numba import njit

from xperience.recording.geometry import CameraModel, Transform
from xperience.standin.kitchen import KITCHEN
from xperience.standin.scene import Scene

TILE = 8
SHADOW_CELLS = (40, 108)  # twice as many each way in pictures of 240 pixels and wider
ROOM_LOW, ROOM_HIGH = (-1.9, -1.9, 0.0), (1.9, 1.1, 2.6)
LIGHT = (-0.36, -0.42, 0.83)

_FADE_RAD = 1.45  # no lens of the rig sees further from its axis than this
_THROW_SHADOWS = {*KITCHEN, "left_hand", "right_hand", "sleeve", "arm"}
_compiled = njit(
    cache=True, nogil=True, error_model="numpy", fastmath={"contract", "arcp", "nsz", "reassoc"}
)


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
        self.rays = rays.astype(np.float32)
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


def _tile_cones(rays: np.ndarray) -> np.ndarray:
    """Return the middle direction and half angle of each tile, shape (down, across, 4)."""
    height, width = rays.shape[:2]
    cones = np.zeros((-(-height // TILE), -(-width // TILE), 4), dtype=np.float32)
    for row in range(cones.shape[0]):
        for col in range(cones.shape[1]):
            tile = rays[row * TILE : (row + 1) * TILE, col * TILE : (col + 1) * TILE].reshape(-1, 3)
            tile = tile[np.isfinite(tile[:, 0])]
            if len(tile):
                middle = tile.mean(0) / np.linalg.norm(tile.mean(0))
                spread = np.arccos(np.clip((tile @ middle).min(), -1, 1))
                cones[row, col] = *middle, spread + 1e-3
    return cones


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
        if kinds[k] == 1:
            pre[k, 10] = m0 * m5 - m1 * m1 - ra * ra * m0
            pre[k, 11] = m5 - ra * ra
        else:
            pre[k, 10] = m0 * m0 * m5 - m1 * m1 * hy + m0 * ra * (rr * m1 * 2.0 - m0 * ra)
            pre[k, 11], pre[k, 12] = hy, rr


@_compiled
def _capsule(pre, k, dx, dy, dz):
    """Return the distance to a capsule along a ray; -1 for none."""
    m0, m1 = pre[k, 6], pre[k, 7]
    bard = pre[k, 0] * dx + pre[k, 1] * dy + pre[k, 2] * dz
    rdoa = pre[k, 3] * dx + pre[k, 4] * dy + pre[k, 5] * dz
    a = m0 - bard * bard
    y = -1.0
    if a > 1e-9:
        b = m0 * rdoa - m1 * bard
        h = b * b - a * pre[k, 10]
        if h < 0:
            return -1.0
        t = (-b - math.sqrt(h)) / a
        y = m1 + t * bard
        if y > 0.0 and y < m0:
            return t
    if y <= 0.0:
        b, c = rdoa, pre[k, 11]
    else:
        b, c = rdoa - bard, pre[k, 11] - 2.0 * m1 + m0
    h = b * b - c
    return -b - math.sqrt(h) if h >= 0 else -1.0


@_compiled
def _cone(pre, k, dx, dy, dz):
    """Return the distance to a capped cone along a ray; -1 for none."""
    m0, m1, ra, rb = pre[k, 6], pre[k, 7], pre[k, 8], pre[k, 9]
    m2 = pre[k, 0] * dx + pre[k, 1] * dy + pre[k, 2] * dz
    if m1 < 0.0 and m2 > 0.0:
        t = -m1 / m2
        px, py, pz = pre[k, 3] + t * dx, pre[k, 4] + t * dy, pre[k, 5] + t * dz
        if px * px + py * py + pz * pz < ra * ra:
            return t
    elif m1 > m0 and m2 < 0.0:
        t = (m0 - m1) / m2
        px = pre[k, 3] + t * dx - pre[k, 0]
        py = pre[k, 4] + t * dy - pre[k, 1]
        pz = pre[k, 5] + t * dz - pre[k, 2]
        if px * px + py * py + pz * pz < rb * rb:
            return t
    m3 = pre[k, 3] * dx + pre[k, 4] * dy + pre[k, 5] * dz
    hy, rr = pre[k, 11], pre[k, 12]
    k2 = m0 * m0 - m2 * m2 * hy
    k1 = m0 * m0 * m3 - m1 * m2 * hy + m0 * ra * (rr * m2)
    h = k1 * k1 - k2 * pre[k, 10]
    if h < 0.0:
        return -1.0
    t = (-k1 - math.sqrt(h)) / k2
    y = m1 + t * m2
    return t if 0.0 < y < m0 else -1.0


@_compiled
def _normal(pre, k, kind, t, d, n):
    """Set the normal of a capsule or cone at a hit, and n[3]: how far out on the top cap, or -1."""
    m0, m1, ra, rb = pre[k, 6], pre[k, 7], pre[k, 8], pre[k, 9]
    y = m1 + t * (pre[k, 0] * d[0] + pre[k, 1] * d[1] + pre[k, 2] * d[2])
    n[3] = -1.0
    if kind == 2 and (y <= m0 * 1e-4 or y >= m0 * (1 - 1e-4)):
        top = y > m0 / 2
        away = 0.0
        for i in range(3):
            n[i] = pre[k, i] * (1.0 if top else -1.0)
            away += (pre[k, 3 + i] + t * d[i] - pre[k, i]) ** 2
        if top:
            n[3] = math.sqrt(away) / rb
    else:
        s = max(0.0, min(1.0, y / m0)) if m0 > 1e-12 else 0.0
        slant = (ra - rb) * ra
        for i in range(3):
            at = pre[k, 3 + i] + t * d[i]
            if kind == 1:
                n[i] = at - s * pre[k, i]
            else:
                n[i] = m0 * (m0 * at + slant * pre[k, i]) - pre[k, i] * pre[k, 11] * y
    size = math.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2])
    n[0], n[1], n[2] = n[0] / size, n[1] / size, n[2] / size


@_compiled
def _box(o, e, g, k):
    """Return near and far distance to a box along a ray with reciprocal direction e."""
    x0, x1 = (g[k, 0] - o[0]) * e[0], (g[k, 3] - o[0]) * e[0]
    y0, y1 = (g[k, 1] - o[1]) * e[1], (g[k, 4] - o[1]) * e[1]
    z0, z1 = (g[k, 2] - o[2]) * e[2], (g[k, 5] - o[2]) * e[2]
    near = max(min(x0, x1), min(y0, y1), min(z0, z1))
    far = min(max(x0, x1), max(y0, y1), max(z0, z1))
    return near, far


@_compiled
def _box_normal(p, d, g, k, n):
    """Set the normal, against the ray, of the wall of a box that is nearest to a point."""
    axis, best = 0, 1e9
    for i in range(3):
        gap = min(abs(p[i] - g[k, i]), abs(p[i] - g[k, 3 + i]))
        if gap < best:
            axis, best = i, gap
    n[0], n[1], n[2], n[3] = 0.0, 0.0, 0.0, -1.0
    n[axis] = -1.0 if d[axis] > 0 else 1.0


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
def _paint(p, n, k, looks, shine, out):
    """Set the colour of a hit: texture, light from a lamp and from all around, gloss."""
    r, g, b = looks[k, 0], looks[k, 1], looks[k, 2]
    texture = int(looks[k, 6])
    if n[3] >= 0.0 and n[3] < 0.86:
        r, g, b = looks[k, 3], looks[k, 4], looks[k, 5]
    elif texture == 1:
        grain = math.sin(p[1] * 85.0 + 3.0 * math.sin(p[0] * 2.7) + p[2] * 40.0)
        plank = 0.86 if abs(p[0] * 5.0 - math.floor(p[0] * 5.0)) < 0.02 else 1.0
        tone = (1.0 + 0.08 * grain) * plank
        r, g, b = r * tone, g * tone, b * tone
    lamp = max(0.0, n[0] * LIGHT[0] + n[1] * LIGHT[1] + n[2] * LIGHT[2])
    tone = 0.42 + 0.12 * n[2] + 0.52 * lamp - 0.07 * p[0]
    gloss = 0.0
    if texture == 3:
        tone *= 0.80 + 0.35 * math.sin(6.0 * n[0] + 2.0 * n[1])
        gloss = 0.5 * max(0.0, lamp) ** 24
    gloss += 0.25 * max(0.0, shine) ** 30
    out[0], out[1], out[2] = r * tone + gloss, g * tone + gloss, b * tone + gloss


@_compiled
def _paint_room(p, n, wall, out):
    """Set the colour of a point on the room's walls, floor or ceiling."""
    r, g, b = wall[0], wall[1], wall[2]
    if n[2] > 0.5:
        odd = (math.floor(p[0] * 3.3) + math.floor(p[1] * 3.3)) % 2
        r, g, b = (0.47, 0.43, 0.40) if odd else (0.57, 0.53, 0.49)
    elif n[2] < -0.5:
        r, g, b = 0.93, 0.92, 0.90
    elif n[1] < -0.5 and p[2] > 0.9 and p[2] < 1.44:
        u, v = p[0] * 6.6 + 0.5 * (math.floor(p[2] * 10.0) % 2), p[2] * 10.0
        joint = (u - math.floor(u)) < 0.06 or (v - math.floor(v)) < 0.09
        r, g, b = (0.62, 0.66, 0.66) if joint else (0.84, 0.89, 0.88)
    elif n[0] > 0.5 and p[1] > -0.9 and p[1] < 0.5 and p[2] > 1.1 and p[2] < 2.1:
        bar = abs(p[1] + 0.2) < 0.03 or abs(p[2] - 1.6) < 0.03
        r, g, b = (0.9, 0.9, 0.88) if bar else (0.75, 0.92, 1.25)
    tone = 0.70 + 0.12 * n[2] - 0.07 * p[0] + 0.05 * n[1]
    if n[2] < 0.5 and p[2] < 0.1:
        tone *= 0.8
    out[0], out[1], out[2] = r * tone, g * tone, b * tone


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
def _light_at(p, table, shade):
    """Return the shadow map at a point of the table, smoothed over neighbouring cells."""
    ny, nx = shade.shape
    x = (p[0] - table[0]) / (table[3] - table[0]) * nx - 0.5
    y = (p[1] - table[1]) / (table[4] - table[1]) * ny - 0.5
    u = max(0, min(nx - 2, math.floor(x)))
    v = max(0, min(ny - 2, math.floor(y)))
    fx, fy = max(0.0, min(1.0, x - u)), max(0.0, min(1.0, y - v))
    top = shade[v, u] * (1 - fx) + shade[v, u + 1] * fx
    low = shade[v + 1, u] * (1 - fx) + shade[v + 1, u + 1] * fx
    return top * (1 - fy) + low * fy


@_compiled
def cast(rays, cones, origin, axes, kinds, geometry, looks, shadows, wall, rgb, depth, hits):  # noqa: PLR0912, PLR0913, PLR0915, PLR0917
    """Set one picture's colour, depth and hits (see `Renderer`), seen from an origin.

    The camera's axes are columns in world axes; the table, on which shadows fall, is solid 0.
    """
    height, width = rays.shape[:2]
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
    d, e, p, out = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    n = np.empty(4)
    for row in range(cones.shape[0]):
        for col in range(cones.shape[1]):
            cone, found = cones[row, col], 0
            cos_tile, sin_tile = math.cos(cone[3]), math.sin(cone[3])
            for k in range(n_solids):
                ball = balls[k]
                if ball[3] > 1.5:
                    continue
                c = cone[0] * ball[0] + cone[1] * ball[1] + cone[2] * ball[2]
                # angle between the axes <= sum of the half angles, both below a right angle
                if ball[3] < -1.5 or c >= ball[3] * cos_tile - ball[4] * sin_tile:
                    near[found] = k
                    found += 1
            for v in range(row * TILE, min(height, row * TILE + TILE)):
                for u in range(col * TILE, min(width, col * TILE + TILE)):
                    ray = rays[v, u]
                    if ray[0] != ray[0]:  # NaN
                        depth[v, u], hits[v, u] = 0.0, -2
                        rgb[v, u, 0], rgb[v, u, 1], rgb[v, u, 2] = 0, 0, 0
                        continue
                    for k in range(3):
                        d[k] = axes[k, 0] * ray[0] + axes[k, 1] * ray[1] + axes[k, 2] * ray[2]
                        e[k] = 1.0 / d[k] if abs(d[k]) > 1e-9 else 1e9
                    t, hit = 1e9, -1
                    for f in range(found):
                        k = near[f]
                        if kinds[k] == 1:
                            at = _capsule(pre, k, d[0], d[1], d[2])
                        elif kinds[k] == 2:
                            at = _cone(pre, k, d[0], d[1], d[2])
                        else:
                            at, far = _box(origin, e, geometry, k)
                            if at > far:
                                continue
                        if at > 0.01 and at < t:
                            t, hit = at, k
                    if hit < 0:
                        t = _box(origin, e, room, 0)[1]
                    for k in range(3):
                        p[k] = origin[k] + t * d[k]
                    if hit < 0:
                        _box_normal(p, d, room, 0, n)
                    elif kinds[hit] == 3:
                        _box_normal(p, d, geometry, hit, n)
                    else:
                        _normal(pre, hit, kinds[hit], t, d, n)
                    if hit < 0:
                        _paint_room(p, n, wall, out)
                    else:
                        mirror = n[0] * d[0] + n[1] * d[1] + n[2] * d[2]
                        shine = 0.0
                        for k in range(3):
                            shine += (d[k] - 2 * mirror * n[k]) * LIGHT[k]
                        _paint(p, n, hit, looks, shine if hit > 10 else 0.0, out)
                        if hit == 0 and n[2] > 0.5:
                            lit = _light_at(p, geometry[0], shade)
                            for k in range(3):
                                out[k] *= lit
                    for k in range(3):
                        rgb[v, u, k] = int(255.0 * min(1.0, max(0.0, out[k])))
                    depth[v, u] = t * ray[2]
                    hits[v, u] = hit
