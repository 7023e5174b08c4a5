"""Many recordings: which to take, on which side each stands, and the work on each of them."""
