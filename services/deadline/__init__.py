"""Deadline: the clocks of every letter, when they are due, reminded of, overdue and urged (regulation R3.1, R6.1, R7.1)."""
