"""The published record: its figures recomputed, its scores beside floors, its hands asked again."""
