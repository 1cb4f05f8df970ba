"""Bad input, made at random from a seed: requests to every service (schemathesis) and messages on every topic (hypothesis)."""
