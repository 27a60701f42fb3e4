"""What a family of networks is: one value, which everything that works for every family asks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.network.architecture import ArchSpec
from shared.network.graph import Graph

Fields = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """A family of networks.

    Attributes:
        spec: its spec class.
        build: spec -> Graph.
        title: its name for people.
        examples: fields without family and scale, of networks as small as can be that use every option which changes the nodes;
            the tests of every family run them at each scale. The first leaves all it can at the default.
        presets: name -> fields without family and scale, of published sizes.
        dual_graphs: spec -> the dual models, which a training alone uses; their weights stand under `dual.{i}.`.
    """

    spec: type[ArchSpec]
    build: Callable[[Any], Graph]
    title: str
    examples: tuple[Fields, ...]
    presets: Mapping[str, Fields]
    dual_graphs: Callable[[Any], tuple[Graph, ...]] = lambda spec: ()

    @property
    def name(self) -> str:
        """The value of the spec's `family` field."""
        return str(self.spec.model_fields["family"].default)

    def example_specs(self, scale: int, **changes: Any) -> tuple[ArchSpec, ...]:
        """The examples at a scale, with some fields changed."""
        return tuple(self.spec.model_validate({"scale": scale, **fields, **changes}) for fields in self.examples)
