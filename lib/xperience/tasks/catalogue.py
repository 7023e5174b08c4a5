"""The tasks of the benchmark, each declared once. Add an entry to ``TASKS`` to add a task."""

from collections.abc import Sequence
from dataclasses import replace

from xperience.features.blocks import BLOCKS
from xperience.features.windows import STRIDE_FRAMES
from xperience.tasks import measures, targets
from xperience.tasks.task import Piece, Span, Task, registry

TEXT = "caption_objects_interaction_text"
CONTACTS = "body_contacts"

ALL = tuple(block.name for block in BLOCKS)
MOTION = tuple(block.name for block in BLOCKS if block.modality == "motion")
VISUAL = tuple(block.name for block in BLOCKS if block.modality == "visual")
AUDIO = tuple(block.name for block in BLOCKS if block.modality == "audio")
NO_TEXT = tuple(name for name in ALL if name != TEXT)

_CAPTIONS = ("captions",)
_ONLY_CORRECTED = ("corrected",)
_BODY_AND_HANDS = ("hand_left", "hand_right", "body")
_SENSED = tuple(name for name in ALL if name in MOTION + AUDIO)
_SEEN = tuple(name for name in ALL if name in VISUAL + AUDIO)

TASKS = (
    Task(
        name="timeline_action",
        question="Which action goes on in the window?",
        kind="classify",
        pieces=(Piece(ALL),),
        target=targets.window_labels("action"),
        target_streams=_CAPTIONS,
        measures=measures.LABELS,
        source="caption: Current Action of most labelled frames",
    ),
    Task(
        name="timeline_subtask",
        question="Which step of the procedure goes on in the window?",
        kind="classify",
        pieces=(Piece(ALL),),
        target=targets.window_labels("subtask"),
        target_streams=_CAPTIONS,
        measures=measures.LABELS,
        source="caption: Sub Task of most labelled frames",
    ),
    Task(
        name="transition_detection",
        question="Does the action change within half a second of the window's centre?",
        kind="classify",
        pieces=(Piece(ALL),),
        target=targets.near_transition,
        target_streams=_CAPTIONS,
        target_span=Span(
            "center", -targets.TRANSITION_FRAMES - 1, "center", targets.TRANSITION_FRAMES
        ),
        measures=measures.LABELS + measures.BOUNDARIES,
        positive="transition",
        source="caption: frames where Current Action changes",
    ),
    Task(
        name="next_action",
        question="Which action goes on a second after the window?",
        kind="classify",
        pieces=(Piece(ALL),),
        target=targets.next_action,
        target_streams=_CAPTIONS,
        target_span=Span("end", targets.AHEAD_FRAMES, "end", targets.AHEAD_FRAMES),
        measures=measures.LABELS,
        naive={"persistence": targets.present_action},
        source="caption: Current Action of one frame",
    ),
    Task(
        name="hand_trajectory_forecast",
        question="Where are the hands in the half second after the window?",
        kind="regress",
        pieces=(Piece(ALL),),
        target=targets.future_hands,
        target_streams=_BODY_AND_HANDS,
        target_span=Span("end", 1, "end", targets.FORECAST_FRAMES),
        measures=measures.HANDS,
        value_shape=(targets.FORECAST_FRAMES, targets.N_HAND_JOINTS, 3),
        naive={
            "zero_velocity": targets.resting_hands,
            "constant_velocity": targets.coasting_hands,
        },
        source="hand_mocap joints minus full_body_mocap root",
    ),
    Task(
        name="contact_prediction",
        question="Does any body part touch something during the window?",
        kind="classify",
        pieces=(Piece(tuple(name for name in NO_TEXT if name != CONTACTS)),),
        target=targets.any_contact,
        target_streams=("contacts",),
        measures=measures.LABELS,
        source="full_body_mocap/contacts",
    ),
    Task(
        name="object_relevance",
        question="Which objects matter during the window?",
        kind="multilabel",
        pieces=(Piece(NO_TEXT),),
        target=targets.named_objects,
        target_streams=_CAPTIONS,
        measures=measures.SETS,
        source="caption: objects named in the window",
    ),
    Task(
        name="caption_grounding",
        question="Which window does a caption describe?",
        kind="retrieve",
        pieces=(Piece(NO_TEXT),),
        target_blocks=(TEXT,),
        measures=measures.RANKS,
        query="target",
        source="feature block of objects and interaction",
    ),
    Task(
        name="cross_modal_retrieval",
        question="Which depth and video belong to a window's motion and sound?",
        kind="retrieve",
        pieces=(Piece(_SENSED),),
        target_blocks=VISUAL,
        measures=measures.RANKS,
        source="feature blocks of depth and video",
    ),
    Task(
        name="modality_reconstruction",
        question="What do depth and video look like, given motion and sound?",
        kind="regress",
        pieces=(Piece(_SENSED),),
        target_blocks=VISUAL,
        measures=measures.VECTORS,
        source="feature blocks of depth and video",
    ),
    Task(
        name="temporal_order",
        question="Are two neighbouring windows in the right order?",
        kind="classify",
        members=targets.adjacent_windows,
        pieces=(Piece(ALL), Piece(ALL, member=1), Piece(ALL, member=1, minus=0)),
        target=targets.paired("right", "reversed"),
        target_span=None,
        remembers=False,
        classes=("reversed", "right"),
        positive="right",
        measures=measures.pair_measures("f1_right"),
        source="the order of windows",
    ),
    Task(
        name="misalignment_detection",
        question="Were motion, video and sound recorded at the same time, or 40 frames apart?",
        kind="classify",
        members=targets.shifted_windows,
        pieces=(Piece(MOTION), Piece(_SEEN, member=1)),
        target=targets.paired("aligned", "shifted"),
        target_span=None,
        classes=("shifted", "aligned"),
        positive="aligned",
        measures=measures.pair_measures("f1_aligned"),
        source="the place of windows",
    ),
    Task(
        name="action_verb",
        question="What is being done in the window?",
        kind="classify",
        pieces=(Piece(NO_TEXT),),
        target=targets.action_part("verb"),
        target_streams=_CAPTIONS,
        measures=measures.LABELS,
        source="caption: first word of the window's Current Action",
        contracts=_ONLY_CORRECTED,
    ),
    Task(
        name="action_noun",
        question="To what is it being done?",
        kind="classify",
        pieces=(Piece(NO_TEXT),),
        target=targets.action_part("noun"),
        target_streams=_CAPTIONS,
        measures=measures.LABELS,
        source="caption: last word of the object in the window's Current Action",
        contracts=_ONLY_CORRECTED,
    ),
    Task(
        name="action_change",
        question="Does the action change within a second after the window?",
        kind="classify",
        pieces=(Piece(NO_TEXT),),
        target=targets.soon_changed,
        target_streams=_CAPTIONS,
        target_span=Span("end", 0, "end", targets.AHEAD_FRAMES),
        measures=measures.LIKELIHOODS,
        positive="change",
        source="caption: frames where Current Action changes",
        contracts=_ONLY_CORRECTED,
    ),
)

ALL_FEATURE_ACTION = Task(
    name="all_feature_action",
    question="Which action goes on in the window, with test windows drawn from between the others?",
    kind="classify",
    pieces=(Piece(ALL),),
    target=targets.window_labels("action"),
    target_streams=_CAPTIONS,
    measures=measures.LABELS,
    split="local",
    settings={"epochs": 800},
    source="caption: Current Action of most labelled frames",
)
"""The reference beside the others: overlapping neighbours of test windows are trained on."""

TASKS_BY_NAME = registry((*TASKS, ALL_FEATURE_ACTION))

HISTORY_WINDOWS = 8
"""Windows that a temporal head reads under `corrected`: the sample's own and those before it."""


def tasks_of(contract: str, tasks: Sequence[Task] = (*TASKS, ALL_FEATURE_ACTION)) -> list[Task]:
    """Return those of some tasks that a contract asks, as it asks them.

    Under `corrected` what captions tell is asked of the sensors alone, for captions hold the
    answer's own words; pairs are judged by balanced accuracy, whose trivial baseline is 0.5.
    Features may reach `HISTORY_WINDOWS` back, so that heads with and without a memory are trained
    and tested on the same samples; equal candidates tie; a target made of feature blocks is in
    units of training SD; hand forecasts start from the present pose; and the local split holds out
    contiguous segments. Hand forecasts may read how the hands moved
    in as many frames as are asked for.
    """
    asked = [task for task in tasks if contract in task.contracts]
    return [_corrected(task) for task in asked] if contract == "corrected" else asked


def _corrected(task: Task) -> Task:
    history = HISTORY_WINDOWS if task.remembers else 1
    span = replace(task.feature_span, first=task.feature_span.first - STRIDE_FRAMES * (history - 1))
    forecast = task.target is targets.future_hands
    judged = {measures.RANKS: measures.TIED_RANKS, measures.VECTORS: measures.SCALED_VECTORS}
    pieces = task.pieces
    if task.target_streams == _CAPTIONS:
        pieces = tuple(
            replace(piece, blocks=tuple(name for name in piece.blocks if name != TEXT))
            for piece in pieces
        )
    return replace(
        task,
        pieces=pieces,
        history=history,
        feature_span=span,
        measures=(
            *(measures.BALANCED if task.classes else ()),
            *judged.get(task.measures, task.measures),
        ),
        recent=targets.past_hands if forecast else None,
        recent_frames=targets.FORECAST_FRAMES + 1 if forecast else 0,
        anchor="zero_velocity" if "zero_velocity" in task.naive else task.anchor,
        split="local_blocks" if task.split == "local" else task.split,
    )
