"""Studies: what a notebook calls to get scored rows."""
