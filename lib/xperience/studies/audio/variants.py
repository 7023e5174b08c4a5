"""The audio study's inputs: each task's own, with its sound left out, alone, or told otherwise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from xperience.errors import ParamsError, did_you_mean
from xperience.features.blocks import BLOCKS_BY_NAME
from xperience.features.logmel import LOGMEL_COLUMNS, logmel_windows
from xperience.features.sound import SOUND_COLUMNS, sound_windows
from xperience.recording.recording import Episode
from xperience.studies.blocks import Table
from xperience.tasks.catalogue import AUDIO
from xperience.tasks.task import Piece, Task


@dataclass(frozen=True)
class Sound:
    """Another account of a window's sound than the one in the windows table.

    Parameters
    ----------
    name : str
        Name of its block.
    columns : tuple of str
    compute : callable (episode, first frames of windows) -> float32 array (n_windows, n_columns)
    """

    name: str
    columns: tuple[str, ...]
    compute: Callable[[Episode, np.ndarray], np.ndarray]


LOGMEL = Sound("audio_logmel", LOGMEL_COLUMNS, logmel_windows)
LIBROSA = Sound("audio_librosa", SOUND_COLUMNS, sound_windows)
SOUNDS = {sound.name: sound for sound in (LOGMEL, LIBROSA)}

AS_IS, WITHOUT = "all_handcrafted_audio", "all_except_audio"
HANDCRAFTED_ONLY, RAW_ONLY = "handcrafted_audio_only", "raw_logmel_audio_only"
REPLACED, BOTH = "replace_handcrafted_with_raw", "all_plus_raw_logmel"
VARIANTS = (AS_IS, WITHOUT, HANDCRAFTED_ONLY, RAW_ONLY, REPLACED, BOTH)
STUDIED = {
    "published": VARIANTS,
    "corrected": tuple(name for name in VARIANTS if name != RAW_ONLY),
}
"""Variants that notebooks ask for, by contract; one sound alone is enough where fits are dear."""


@dataclass(frozen=True)
class VariantTask(Task):
    """A task of the catalogue that is given other inputs, blocks of ``SOUNDS`` among them.

    Parameters
    ----------
    variant : str
        Which of ``VARIANTS``; the other parameters are those of `xperience.tasks.task.Task`.

    Raises
    ------
    ParamsError
        If a block is unknown.
    """

    variant: str = AS_IS

    def __post_init__(self):
        known = [*BLOCKS_BY_NAME, *SOUNDS]
        for name in (name for piece in self.pieces for name in piece.blocks):
            if name not in known:
                place = f"task {self.name!r}: block"
                raise ParamsError(place, f"is {name!r}", "a block", did_you_mean(name, known))

    @property
    def n_features(self) -> int:
        """Length of the input."""
        return sum(_dim(name) for piece in self.pieces for name in piece.blocks)

    @property
    def input_blocks(self) -> tuple[str, ...]:
        """Blocks that the input takes in, in the table's order, other accounts of sound last."""
        named = {name for piece in self.pieces for name in piece.blocks}
        return tuple(name for name in [*BLOCKS_BY_NAME, *SOUNDS] if name in named)


def _dim(name: str) -> int:
    return len(SOUNDS[name].columns) if name in SOUNDS else BLOCKS_BY_NAME[name].dim


def variant_task(task: Task, variant: str, raw: Sound = LOGMEL) -> VariantTask:
    """Return a task with a variant of its input.

    Parameters
    ----------
    task : Task
    variant : str
        One of ``VARIANTS``.
    raw : Sound
        What stands for the sound where a variant says raw.

    Raises
    ------
    ParamsError
        If there is no such variant.

    Notes
    -----
    Where a task compares two windows a and b and only sound is left, its input is [a, b, b − a],
    whatever its own was.
    """
    if variant not in VARIANTS:
        raise ParamsError(
            "variant", f"is {variant!r}", "a variant", did_you_mean(variant, VARIANTS)
        )
    only = {HANDCRAFTED_ONLY: AUDIO, RAW_ONLY: (raw.name,)}
    if variant in only:
        pieces = _alone(task, only[variant])
    else:
        changed = (replace(piece, blocks=_changed(piece, variant, raw)) for piece in task.pieces)
        pieces = tuple(piece for piece in changed if piece.blocks)
    same = {field.name: getattr(task, field.name) for field in fields(Task)}
    return VariantTask(**(same | {"pieces": pieces, "variant": variant}))


def _alone(task: Task, blocks: tuple[str, ...]) -> tuple[Piece, ...]:
    if all(piece.member == 0 for piece in task.pieces):
        return (Piece(blocks),)
    return Piece(blocks), Piece(blocks, member=1), Piece(blocks, member=1, minus=0)


def _changed(piece: Piece, variant: str, raw: Sound) -> tuple[str, ...]:
    """Return a piece's blocks, the sound's exchanged for what the variant wants."""
    if not set(piece.blocks) & set(AUDIO):
        return piece.blocks
    in_place = {AS_IS: AUDIO, WITHOUT: (), REPLACED: (raw.name,), BOTH: (*AUDIO, raw.name)}
    first = min(piece.blocks.index(name) for name in AUDIO)
    rest = [name for name in piece.blocks if name not in AUDIO]
    return (*rest[:first], *in_place[variant], *rest[first:])


class SoundTable:
    """A windows table and other accounts of its sound.

    Parameters
    ----------
    table : WindowTable or anything with ``block``
    more : mapping of {block: float32 array (n_windows, dim)}
    """

    def __init__(self, table: Table, more: Mapping[str, np.ndarray]):
        self._table, self._more = table, more

    def block(self, name: str) -> np.ndarray:
        """Return a block, float32 (n_windows, dim), NaN where it is null."""
        return self._more[name] if name in self._more else self._table.block(name)
