"""Recordings and tables in the formats of other tools; every dependency is optional."""
