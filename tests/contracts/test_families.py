"""Contract of a family: every row of FAMILIES is tested by being there."""

import itertools
import json

import numpy as np
import pytest

from shared.errors import SpecError
from shared.network.cost import graph_cost
from shared.network.families import FAMILIES, Family, build_graph, dual_graphs
from shared.network.initialization import initial_weights, random_weights
from shared.network.reference import run
from shared.resize import bicubic_upscale
from shared.spec import make_spec_file, parse

SMALL = {
    "drn": {"features": 16, "blocks": 2, "stages": 3},
    "rcan": {"features": 16, "groups": 2, "blocks": 1},
    "dual_regression": {"features": 16, "blocks": 1},
}
SCALES = (2, 3, 4)
CASES = [
    pytest.param({"family": family.name, "scale": scale, **SMALL[family.name]}, id=f"{family.name}-x{scale}")
    for family, scale in itertools.product(FAMILIES, SCALES)
]


@pytest.mark.parametrize("fields", CASES)
def test_output_is_scale_times_the_input(fields):
    spec = parse(fields)
    graph = build_graph(spec)
    values = run(graph, initial_weights(graph), np.zeros((1, 3, 5, 7)))
    assert values[graph.outputs[-1]].shape == (1, 3, 5 * spec.scale, 7 * spec.scale)
    sizes = [values[name].shape[2] for name in graph.outputs]
    assert sizes == sorted(set(sizes)), "outputs go from LR size to SR size"


@pytest.mark.parametrize("fields", CASES)
def test_shapes_are_those_of_the_executor(fields):
    graph = build_graph(parse(fields))
    values = run(graph, initial_weights(graph), np.zeros((1, 3, 6, 8)))
    assert graph.shapes(6, 8) == {name: value.shape[1:] for name, value in values.items()}


@pytest.mark.parametrize("fields", CASES)
def test_cost_counts_the_weights(fields):
    graph = build_graph(parse(fields))
    weights = initial_weights(graph)
    assert graph_cost(graph).parameters == sum(array.size for array in weights.values())


@pytest.mark.parametrize("fields", CASES)
def test_receptive_field_is_where_an_impulse_arrives(fields):
    """Perturb one LR pixel; HR pixels of cells further than the reach must not change. Attention is switched off: it sees all."""
    spec = parse({**fields, "image_skip": "bicubic"})
    graph = build_graph(spec).inference()
    weights = {k: np.zeros_like(v) if ".conv_du." in k else v for k, v in random_weights(graph, 1).items()}
    half = graph_cost(graph).receptive_field // 2
    side = 2 * half + 7
    image = np.random.default_rng(0).uniform(0, 1, (1, 3, 1 + side, side))[:, :, : min(side, 61), : min(side, 61)]
    row = column = image.shape[2] // 2
    changed = image.copy()
    changed[0, :, row, column] += 1
    difference = np.abs(run(graph, weights, changed)[graph.outputs[-1]] - run(graph, weights, image)[graph.outputs[-1]])
    cells = np.flatnonzero(difference[0].max(axis=(0, 2)) > 1e-12) // spec.scale
    assert np.abs(cells - row).max() <= half


@pytest.mark.parametrize("fields", CASES)
def test_spec_goes_through_json_unchanged(fields):
    spec = parse(fields)
    again = parse(json.loads(json.dumps(make_spec_file(spec).to_json())))
    assert again == spec
    assert again.id == spec.id


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_field_changes_the_id(family: Family):
    base = {"family": family.name, "scale": 2, **SMALL[family.name]}
    seen = {parse(base).id}
    other = {"scale": 4, "reduction": 8, "mean_shift": "df2k", "value_range": None, "image_skip": "bicubic"}
    other |= {"fusion_kernel": 3, "ibsc_stages": "all", "ibsc_mode": "concat", "stage_chain": "parallel"}
    other |= {"stage_activations": 2, "long_skip": True, "pre_upsample_conv": True}
    other["value_range"] = 255 if parse(base).architecture()["value_range"] == 1 else 1
    for field in family.spec.model_fields:
        if field != "family":
            seen.add(parse({**base, field: other.get(field, SMALL[family.name].get(field, 0) + 1)}).id)
    assert len(seen) == len(family.spec.model_fields)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_field_at_its_default_leaves_the_id_alone(family: Family):
    base = {"family": family.name, "scale": 2, **SMALL[family.name]}
    for name, field in family.spec.model_fields.items():
        if not field.is_required():
            assert parse({**base, name: field.default}).id == parse(base).id


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_too_few_features_for_attention_are_refused(family: Family):
    with pytest.raises(SpecError, match="features 8 < reduction 16"):
        parse({"family": family.name, "scale": 2, **SMALL[family.name], "features": 8})


@pytest.mark.parametrize("fields", CASES)
def test_with_image_skip_training_starts_at_the_enlarged_input(fields):
    spec = parse({**fields, "image_skip": "bicubic"})
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
