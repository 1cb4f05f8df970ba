"""Intake: the front door, screening by staff, and the register of numbers (regulation sections 2 and 3)."""
