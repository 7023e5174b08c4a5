"""Recordings from the hub: listed, shown with their licence, pinned, resumed and checked."""
