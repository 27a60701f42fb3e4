"""The network families. A new one is a file here and a line in FAMILIES.

Start with edsr.py, the simplest; layers.py holds what several families share. Nothing here knows a framework.
"""

from shared.network.architecture import ArchSpec
from shared.network.families import drn, dual_regression, edsr, nafnet, rcan
from shared.network.families.family import Family
from shared.network.graph import Graph

FAMILIES: tuple[Family, ...] = (
    drn.FAMILY,
    rcan.FAMILY,
    dual_regression.FAMILY,
    edsr.FAMILY,
    nafnet.FAMILY,
)


def family_of(spec: ArchSpec) -> Family:
    """The family a spec belongs to."""
    return next(family for family in FAMILIES if family.name == spec.family)


def build_graph(spec: ArchSpec) -> Graph:
    """The network that a spec describes."""
    return family_of(spec).build(spec)


def dual_graphs(spec: ArchSpec) -> tuple[Graph, ...]:
    """The dual models of a spec, which a training alone uses; empty for families without them."""
    return family_of(spec).dual_graphs(spec)
