"""The recording on disk: what it holds, whether it is whole, and lazy ways to read it."""
