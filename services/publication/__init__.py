"""Publication: what the public sees of finished letters, and the notice board (regulation R9.1, R9.2, R7.2)."""
