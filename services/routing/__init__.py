"""Routing: who has a letter, what may happen next, who is told (regulation sections 4, 6 and 8)."""
