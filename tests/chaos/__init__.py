"""Faults at random moments under a steady load, and an independent checker of what must be true afterwards."""
