"""Code the five services share: contracts, messaging, storage, calendar, directory, security, observability, web."""
