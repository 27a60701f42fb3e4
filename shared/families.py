"""The registered network families, under the short path that notebooks and other projects import."""

from shared.network.families import FAMILIES, build_graph, dual_graphs, family_of
from shared.network.families.family import Family

__all__ = ["FAMILIES", "Family", "build_graph", "dual_graphs", "family_of"]
