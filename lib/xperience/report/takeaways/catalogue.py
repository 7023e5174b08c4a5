"""The six takeaways: their claims, how each is decided, and what is said of each outcome.

No number stands in a sentence: numbers come in from rows.
"""

from xperience.report.takeaways.on_evidence import HEARD, HELD_OUT
from xperience.report.takeaways.on_heads import HEADS_COMPARED, RETRIEVED
from xperience.report.takeaways.on_recording import BENCHMARK, LABEL_SHIFT

TAKEAWAYS = (BENCHMARK, LABEL_SHIFT, HEADS_COMPARED, RETRIEVED, HEARD, HELD_OUT)
"""All takeaways in reading order."""
