"""Contract of a family: every row of FAMILIES is tested by being there."""

import itertools
import json
from typing import Literal, get_args, get_origin

import numpy as np
import pytest

from shared.errors import SpecError
from shared.network.cost import graph_cost
from shared.network.families import FAMILIES, build_graph, dual_graphs
from shared.network.families.family import Family
from shared.network.initialization import initial_weights, random_weights
from shared.network.primitives import GlobalMean
from shared.network.reference import run
from shared.resize import bicubic_upscale
from shared.spec import make_spec_file, parse

SCALES = (2, 3, 4)
SPECS = [
    pytest.param(spec, id=f"{spec.family}-{place}-x{scale}")
    for family, scale in itertools.product(FAMILIES, SCALES)
    for place, spec in enumerate(family.example_specs(scale))
]
each_spec = pytest.mark.parametrize("spec", SPECS)
each_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


def other_value(annotation, value):
    """A value that a field may have beside the given one."""
    if get_origin(annotation) is Literal:
        return next(choice for choice in get_args(annotation) if choice != value)
    return {bool: lambda: not value, int: lambda: value + 1, float: lambda: value / 2}[annotation]()


@each_spec
def test_output_is_scale_times_the_input(spec):
    graph = build_graph(spec)
    values = run(graph, initial_weights(graph), np.zeros((1, 3, 5, 7)))
    assert values[graph.outputs[-1]].shape == (1, 3, 5 * spec.scale, 7 * spec.scale)
    sizes = [values[name].shape[2] for name in graph.outputs]
    assert sizes == sorted(set(sizes)), "outputs go from LR size to SR size"


@each_spec
def test_shapes_are_those_of_the_executor(spec):
    graph = build_graph(spec)
    values = run(graph, initial_weights(graph), np.zeros((1, 3, 6, 8)))
    assert graph.shapes(6, 8) == {name: value.shape[1:] for name, value in values.items()}


@each_spec
def test_cost_counts_the_weights(spec):
    graph = build_graph(spec)
    weights = initial_weights(graph)
    assert graph_cost(graph).parameters == sum(array.size for array in weights.values())


@each_spec
def test_receptive_field_is_where_an_impulse_arrives(spec):
    """Perturb one LR pixel; HR pixels further than the radius must not change. Attention is switched off: it sees all."""
    spec = spec.model_copy(update={"image_skip": "bicubic"})
    graph = build_graph(spec).inference()
    means = {node.name for node in graph.nodes if isinstance(node, GlobalMean)}
    attention = {f"{node.owner}.weight" for node in graph.weighted() if means & {*node.inputs}}
    weights = {k: np.zeros_like(v) if k in attention else v for k, v in random_weights(graph, 1).items()}
    half = graph_cost(graph).receptive_field // 2
    side = 2 * half + 7
    image = np.random.default_rng(0).uniform(0, 1, (1, 3, 1 + side, side))[:, :, : min(side, 61), : min(side, 61)]
    row = column = image.shape[2] // 2
    changed = image.copy()
    changed[0, :, row, column] += 1
    difference = np.abs(run(graph, weights, changed)[graph.outputs[-1]] - run(graph, weights, image)[graph.outputs[-1]])
    cells = np.flatnonzero(difference[0].max(axis=(0, 2)) > 1e-12) // spec.scale
    assert np.abs(cells - row).max() <= half


@each_spec
def test_spec_goes_through_json_unchanged(spec):
    again = parse(json.loads(json.dumps(make_spec_file(spec).to_json())))
    assert again == spec
    assert again.id == spec.id


@each_family
def test_every_field_changes_the_id(family: Family):
    spec = family.example_specs(2)[0]
    seen = {spec.id}
    for name, field in family.spec.model_fields.items():
        if name != "family":
            seen.add(parse({**spec.architecture(), name: other_value(field.annotation, getattr(spec, name))}).id)
    assert len(seen) == len(family.spec.model_fields)


@each_family
def test_a_field_at_its_default_leaves_the_id_alone(family: Family):
    spec = family.example_specs(2)[0]
    required = {name: value for name, value in spec.architecture().items() if value != default(family, name)}
    assert parse({**required, "family": family.name}).id == spec.id


def default(family: Family, name: str):
    return family.spec.model_fields[name].default


@each_family
def test_too_few_features_for_attention_are_refused(family: Family):
    base = {"family": family.name, "scale": 2, **family.examples[0], "features": 8}
    if "reduction" in family.spec.model_fields:
        with pytest.raises(SpecError, match="features 8 < reduction 16"):
            parse({**base, "reduction": 16})
    else:
        with pytest.raises(SpecError, match="unknown field 'reduction'"):
            parse({**base, "reduction": 4})


@each_family
def test_presets_are_networks_of_the_family(family: Family):
    for name in family.presets:
        assert parse(name, scale=4).family == family.name
        assert family.title


@each_spec
def test_with_image_skip_training_starts_at_the_upscaled_input(spec):
    spec = spec.model_copy(update={"image_skip": "bicubic"})
    graph = build_graph(spec)
    image = np.random.default_rng(0).uniform(0, 1, (1, 3, 8, 9))
    sr = run(graph, initial_weights(graph), image)[graph.outputs[-1]]
    assert np.abs(sr[0].transpose(1, 2, 0) - bicubic_upscale(image[0].transpose(1, 2, 0), spec.scale)).max() < 1e-12


def test_dual_models_reduce_by_one_octave():
    for scale, count, factor in ((2, 1, 2), (3, 1, 3), (4, 2, 2)):
        graphs = dual_graphs(parse({"family": "dual_regression", "scale": scale, "features": 16, "blocks": 1}))
        assert len(graphs) == count
        for graph in graphs:
            assert graph.shapes(12, 24)[graph.outputs[0]] == (3, 12 // factor, 24 // factor)
            assert graph_cost(graph).parameters == 54 * 16
