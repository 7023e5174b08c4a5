"""The run graph, its steps, and notebooks executed by papermill."""

import sys

# jsonschema, which nbformat checks notebooks with, does without its checks of internationalised
# addresses where this package lacks; no schema of a notebook has any, and it takes 1.6 s to import.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
