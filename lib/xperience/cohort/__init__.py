"""Many recordings: which to take, which split each is in, and the work on each of them."""
