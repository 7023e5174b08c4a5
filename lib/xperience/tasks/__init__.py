"""Tasks: what is asked of a window, declared once; they know nothing of models."""
