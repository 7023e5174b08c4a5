"""The kitchen: what stands where, of which simple solids it is made, and where a hand takes it.

World axes: x to the wearer's right, y away from the wearer, z up; metres; the floor is z = 0 and
the wearer stands near the origin. Things have their own axes, parallel to these when upright, with
the origin under the middle of their foot.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

TABLE_HEIGHT_M = 0.90
CAPSULE, CONE, BOX = 1, 2, 3
PLAIN, WOOD, METAL = 0, 1, 3

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Solid:
    """A capsule, a capped cone or an axis-parallel box; metres, colours are RGB in 0..1."""

    kind: int
    a: Vector  # ends of the axis, or opposite corners of a box
    b: Vector
    radius_m: tuple[float, float]  # at a and at b; a box has none
    colour: Vector
    inner: Vector | None = None  # of what one sees in the opening at b of a cone
    texture: int = PLAIN

    @property
    def looks(self) -> tuple[float, ...]:
        """Colour, inner colour and texture, as the ray caster takes them."""
        return (*self.colour, *(self.inner or self.colour), self.texture)


@dataclass(frozen=True)
class Thing:
    """Something in the kitchen; points in its own axes."""

    home: Vector  # where its origin stands at the start, z above the table
    solids: tuple[Solid, ...]
    grip: Vector = (0.0, 0.0, 0.05)  # where the hand takes, presses or knocks it
    lip: Vector = (0.0, 0.0, 0.1)  # where it pours from
    mouth: Vector = (0.0, 0.0, 0.1)  # middle of its opening, where poured things go in
    seat: Vector = (0.0, 0.0, 0.0)  # where another thing may stand in or on it
    power: bool = True  # taken with the whole hand at the side, else pinched from above


def _cone(z: tuple, radius_m: tuple, colour, inner=None, texture=PLAIN) -> Solid:
    """Return an upright cone between two heights."""
    return Solid(CONE, (0, 0, z[0]), (0, 0, z[1]), radius_m, colour, inner, texture)


def _rod(a, b, radius, colour, texture=PLAIN) -> Solid:
    return Solid(CAPSULE, a, b, (radius, radius), colour, None, texture)


def _box(a, b, colour, texture=PLAIN) -> Solid:
    return Solid(BOX, a, b, (0, 0), colour, None, texture)


def _handle(x_body: float, x_grip: float, z: tuple[float, float], colour) -> tuple[Solid, ...]:
    """Return a handle of three rods, to the right of the body if ``x_grip`` is positive."""
    low, high = z
    corners = [(x_body, 0, high), (x_grip, 0, high), (x_grip, 0, low), (x_body, 0, low)]
    return tuple(_rod(a, b, 0.009, colour) for a, b in pairwise(corners))


_STEEL, _BLACK, _WHITE = (0.72, 0.74, 0.78), (0.10, 0.10, 0.11), (0.95, 0.94, 0.90)
_COFFEE, _WATER, _BEANS = (0.20, 0.10, 0.05), (0.55, 0.75, 0.92), (0.30, 0.17, 0.09)
_RED, _TEAL, _GLASS = (0.82, 0.16, 0.12), (0.08, 0.55, 0.55), (0.62, 0.74, 0.76)
_PAPER, _BRASS, _BLUE = (0.96, 0.92, 0.82), (0.78, 0.58, 0.22), (0.20, 0.38, 0.78)

KITCHEN: dict[str, Thing] = {
    "base": Thing(
        (0.40, 0.42, 0.0),
        (
            _cone((0, 0.022), (0.095, 0.09), _BLACK),
            _box((-0.025, -0.145, 0), (0.025, -0.08, 0.02), _BLACK),
            Solid(CONE, (0, -0.12, 0.018), (0, -0.12, 0.028), (0.012, 0.012), (0.95, 0.55, 0.1)),
        ),
        grip=(0, -0.12, 0.028),
        seat=(0, 0, 0.022),
        power=False,
    ),
    "kettle": Thing(
        (0.40, 0.42, 0.022),
        (
            _cone((0, 0.15), (0.082, 0.058), _STEEL, _WATER, METAL),
            _rod((-0.07, 0, 0.045), (-0.115, 0, 0.10), 0.011, _STEEL, METAL),
            _rod((-0.115, 0, 0.10), (-0.145, 0, 0.155), 0.008, _STEEL, METAL),
            *_handle(0.06, 0.135, (0.045, 0.14), _BLACK),
        ),
        grip=(0.135, 0, 0.095),
        lip=(-0.150, 0, 0.160),
        mouth=(0, 0, 0.15),
    ),
    "jug": Thing(
        (-0.47, 0.45, 0.0),
        (
            _cone((0, 0.19), (0.048, 0.058), _BLUE, _WATER),
            _rod((0.05, 0, 0.185), (0.066, 0, 0.197), 0.009, _BLUE),
            *_handle(-0.05, -0.105, (0.05, 0.15), _BLUE),
        ),
        grip=(-0.105, 0, 0.10),
        lip=(0.072, 0, 0.197),
        mouth=(0, 0, 0.19),
    ),
    "jar": Thing(
        (-0.34, 0.40, 0.0),
        (
            _cone((0, 0.13), (0.052, 0.052), _GLASS, _BEANS),
            _cone((0.0, 0.085), (0.0535, 0.0535), _BEANS),
        ),
        mouth=(0, 0, 0.13),
    ),
    "scoop": Thing(
        (-0.30, 0.245, 0.0),
        (
            _rod((0, 0, 0.05), (0, 0.085, 0.016), 0.006, _BRASS, METAL),
            Solid(CONE, (0, 0.10, 0.0), (0, 0.10, 0.028), (0.014, 0.021), _BRASS, _BEANS, METAL),
        ),
        grip=(0, 0, 0.05),
        lip=(0, 0.10, 0.014),
        power=False,
    ),
    "grinder": Thing(
        (-0.20, 0.33, 0.0),
        (
            _cone((0, 0.10), (0.058, 0.048), (0.45, 0.27, 0.14), None, WOOD),
            _cone((0.10, 0.145), (0.05, 0.055), _BRASS, _BEANS, METAL),
            _rod((0, 0, 0.14), (0, 0, 0.165), 0.007, _STEEL, METAL),
        ),
        grip=(0.0, -0.03, 0.10),
        mouth=(0, 0, 0.145),
    ),
    "tin": Thing(
        (-0.07, 0.26, 0.0),
        (_cone((0, 0.06), (0.032, 0.035), (0.55, 0.58, 0.25), _COFFEE),),
        grip=(0.030, 0, 0.035),
        lip=(-0.035, 0, 0.06),
        mouth=(0, 0, 0.06),
    ),
    "filter": Thing(
        (0.14, 0.25, 0.0),
        (_cone((0, 0.068), (0.012, 0.056), _PAPER, (0.80, 0.72, 0.58)),),
        grip=(0.0, -0.048, 0.062),
        mouth=(0, 0, 0.068),
        power=False,
    ),
    "carafe": Thing(
        (0.03, 0.39, 0.0),
        (
            _cone((0, 0.10), (0.068, 0.056), _GLASS, _COFFEE),
            _cone((0.0, 0.045), (0.0695, 0.0645), _COFFEE),
            _cone((0.10, 0.14), (0.04, 0.05), _GLASS, _COFFEE),
            *_handle(0.055, 0.115, (0.03, 0.11), _BLACK),
        ),
        grip=(0.115, 0, 0.07),
        lip=(-0.052, 0, 0.14),
        mouth=(0, 0, 0.14),
        seat=(0, 0, 0.14),
    ),
    "dripper": Thing(
        (0.03, 0.39, 0.14),
        (
            _cone((0, 0.008), (0.062, 0.062), _RED),
            _cone((0.008, 0.085), (0.02, 0.062), _RED, _COFFEE),
            *_handle(0.045, 0.092, (0.035, 0.075), _RED),
        ),
        grip=(0.092, 0, 0.055),
        mouth=(0, 0, 0.10),
        seat=(0, 0, 0.026),
    ),
    "saucer": Thing(
        (0.20, 0.44, 0.0), (_cone((0, 0.010), (0.06, 0.085), _WHITE, _WHITE),), seat=(0, 0, 0.010)
    ),
    "cup": Thing(
        (-0.17, 0.47, 0.0),
        (
            _cone((0, 0.075), (0.032, 0.045), _TEAL, (0.12, 0.20, 0.20)),
            _cone((0.05, 0.0755), (0.037, 0.039), _COFFEE, _COFFEE),
            *_handle(0.036, 0.068, (0.02, 0.06), _TEAL),
        ),
        grip=(0.068, 0, 0.04),
        lip=(0.0, -0.045, 0.075),
        mouth=(0, 0, 0.075),
    ),
}

FURNITURE = (
    _box(
        (-0.95, 0.16, TABLE_HEIGHT_M - 0.04), (0.95, 0.86, TABLE_HEIGHT_M), (0.66, 0.46, 0.28), WOOD
    ),
    _box((-0.9, 0.30, 0.0), (0.9, 0.84, 0.86), (0.80, 0.79, 0.74)),
    _box((-0.80, 0.92, 1.46), (0.75, 1.10, 1.49), (0.50, 0.33, 0.19), WOOD),
    Solid(CONE, (-0.55, 1.0, 1.49), (-0.55, 1.0, 1.67), (0.06, 0.06), (0.75, 0.30, 0.22)),
    Solid(CONE, (-0.35, 1.0, 1.49), (-0.35, 1.0, 1.63), (0.055, 0.055), (0.90, 0.78, 0.35)),
    Solid(CONE, (-0.16, 1.0, 1.49), (-0.16, 1.0, 1.70), (0.05, 0.05), (0.35, 0.52, 0.36)),
    Solid(CONE, (0.35, 1.0, 1.49), (0.35, 1.0, 1.60), (0.05, 0.07), (0.70, 0.42, 0.30)),
    _rod((0.35, 1.0, 1.65), (0.35, 1.0, 1.78), 0.09, (0.25, 0.50, 0.22)),
    _box((0.62, 0.34, 0.90), (0.90, 0.70, 0.925), (0.85, 0.70, 0.48), WOOD),
    _rod((0.76, 0.50, 0.96), (0.80, 0.58, 0.96), 0.035, (0.93, 0.75, 0.20)),
    _box((-0.82, 0.30, 0.90), (-0.60, 0.60, 0.906), (0.85, 0.86, 0.92)),
)
"""What never moves: table with its cupboard, shelf with tins and a plant, board, cloth."""

FIXED = frozenset({"base", "grinder", "jar", "saucer"})
"""Things that stay where they are."""

FILLS = {("carafe", 0.045): "dripper", ("cup", 0.0755): "cup"}
"""Solids, by thing and height, that are there only once a liquid has run into something."""


def homes(rng: np.random.Generator, variety: float) -> dict[str, np.ndarray]:
    """Return where each thing stands in world axes, shape (3,); stacked things stay stacked.

    The generator moves each place a little, ``variety`` times as far as in a usual kitchen.
    """
    far_m = 0.012 * variety
    shift = {name: np.append(rng.uniform(-far_m, far_m, 2), 0.0) for name in KITCHEN}
    shift["kettle"], shift["dripper"] = shift["base"], shift["carafe"]
    lift = np.array([0.0, 0.0, TABLE_HEIGHT_M])
    return {name: np.array(thing.home) + lift + shift[name] for name, thing in KITCHEN.items()}
