"""The errors that domain code raises. Each names its rule, so that whoever is refused learns why and what to do."""


class RuleBroken(Exception):
    """An action that the regulation or the letter's state does not allow (HTTP 409; refused on the mailbox topic)."""

    status = 409

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule
        """Rule id, e.g. R4.2."""


class NotFound(RuleBroken):
    """There is no such letter, slip or hand-off, or the caller may not know of it (HTTP 404)."""

    status = 404


class Forbidden(RuleBroken):
    """The caller's mailbox or role does not allow it (HTTP 403)."""

    status = 403


class BadInput(RuleBroken):
    """A value that can never be right (HTTP 422)."""

    status = 422

    def __init__(self, rule: str, message: str, field: str) -> None:
        super().__init__(rule, message)
        self.field = field
        """The field that is wrong, as in the request."""


class Stale(Exception):
    """The letter has changed since the caller read it (HTTP 409 with the current version)."""

    def __init__(self, current: int) -> None:
        super().__init__(f"the letter has changed; its version is now {current}: read it again and decide again")
        self.current = current
