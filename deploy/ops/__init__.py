"""The operator's command, `python -m deploy.ops`: one module for each verb, and what they share in `console` and `cluster`."""
