"""The search space: every architecture that a search may propose has a number."""

from shared.space.search_space import Point, SearchSpace

__all__ = ["Point", "SearchSpace"]
