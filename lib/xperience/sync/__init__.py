"""Whether the streams of a recording share one clock: an audit that needs no labels."""
