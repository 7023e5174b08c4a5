"""Sound: what it adds to each task, to motion and without it, and which of it may be claimed."""
