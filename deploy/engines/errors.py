"""What goes wrong with engines, said so that the reader knows what to do next."""


class EngineError(Exception):
    """An engine could not be fetched, started or stopped; the message says why and what to do."""
