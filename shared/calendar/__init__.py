"""Time as the regulation counts it: one clock for all processes, and the State Council's working days."""
