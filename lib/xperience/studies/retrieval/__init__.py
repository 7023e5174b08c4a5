"""Retrieval and reconstruction: finding the moment or the place, rebuilding from motion, sound."""
