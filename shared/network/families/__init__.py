"""The network families. A new one is a file here and a line in FAMILIES.

Start with rcan.py, the shortest; layers.py holds what several families share. A family is a spec (frozen pydantic model) and a
function from spec to Graph; nothing here knows a framework.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared.network.architecture import ArchSpec
from shared.network.families import drn, dual_regression, rcan
from shared.network.graph import Graph


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """A registered family.

    Attributes:
        spec: its spec class.
        build: spec -> Graph.
        dual_graphs: spec -> the training-only models of a closed loop; their weights stand under `dual.{i}.`.
    """

    spec: type[ArchSpec]
    build: Callable[[Any], Graph]
    dual_graphs: Callable[[Any], tuple[Graph, ...]] = lambda spec: ()

    @property
    def name(self) -> str:
        """The value of the spec's `family` field."""
        return str(self.spec.model_fields["family"].default)


FAMILIES: tuple[Family, ...] = (
    Family(spec=drn.DrnSpec, build=drn.build),
    Family(spec=rcan.RcanSpec, build=rcan.build),
    Family(
        spec=dual_regression.DualRegressionSpec, build=dual_regression.build, dual_graphs=dual_regression.dual_graphs
    ),
)


def family_of(spec: ArchSpec) -> Family:
    """The family a spec belongs to."""
    return next(family for family in FAMILIES if family.name == spec.family)


def build_graph(spec: ArchSpec) -> Graph:
    """The network that a spec describes."""
    return family_of(spec).build(spec)


def dual_graphs(spec: ArchSpec) -> tuple[Graph, ...]:
    """The training-only models of a spec's closed loop; empty for families without one."""
    return family_of(spec).dual_graphs(spec)
