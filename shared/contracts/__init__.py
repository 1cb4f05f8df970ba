"""The messages that the services exchange: `catalogue.py` lists them all, `facts.py` holds the facts of the topic `letters`."""
