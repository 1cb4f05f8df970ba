"""What a running service shows of itself: logs, metrics and traces, none of them with personal data."""
