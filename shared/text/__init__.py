"""Finding words in Chinese text: the store's own text index does not split Chinese, so pairs of neighbouring characters are indexed."""

from shared.text.grams import SHORTEST_QUERY, grams, normalized

__all__ = ["SHORTEST_QUERY", "grams", "normalized"]
