import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import SpecError, UsageError
from shared.network.families import build_graph
from shared.spec import PRESETS, make_spec_file, parse

DRN = {"family": "drn", "scale": 4, "features": 32, "blocks": 2, "stages": 3}

# Published parameter counts without mean shift (reference sr_toolboxes.md sections 1 to 3; the RCAN x3 figure there includes it)
PUBLISHED = [
    ("rcan", 2, 15_444_643),
    ("rcan", 3, 15_629_283),
    ("rcan", 4, 15_592_355),
    ("rcan-star", 2, 16_350_483),
    ("rcan-star", 3, 17_088_403),
    ("rcan-star", 4, 16_940_819),
    ("drn-star", 2, 17_462_803),
    ("drn-star", 3, 18_200_723),
    ("drn-star", 4, 18_053_139),
    ("dual-regression-s", 2, 606_354),
    ("dual-regression-s", 3, 652_594),
    ("dual-regression-s", 4, 4_804_041),
    ("dual-regression-l", 2, 1_235_386),
    ("dual-regression-l", 3, 1_307_586),
    ("dual-regression-l", 4, 9_825_869),
]
MEAN_SHIFT = 24


@pytest.mark.parametrize(("preset", "scale", "parameters"), PUBLISHED)
def test_parameter_counts_are_the_published_ones(preset, scale, parameters):
    bare = parse({**PRESETS[preset], "scale": scale, "mean_shift": "none"})
    assert make_spec_file(bare).cost["parameters"] == parameters
    shifted = make_spec_file(parse({**PRESETS[preset], "scale": scale, "mean_shift": "div2k"}))
    assert shifted.cost["parameters"] == parameters + MEAN_SHIFT


def test_rcan_has_the_official_number_of_tensors():
    for scale, tensors in ((2, 1632), (3, 1632), (4, 1634)):
        assert len(build_graph(parse("rcan", scale=scale)).weight_shapes()) == tensors


def test_rcan_names_and_shapes_are_the_official_ones():
    shapes = build_graph(parse("rcan", scale=4)).weight_shapes()
    assert shapes["sub_mean.weight"] == shapes["add_mean.weight"] == (3, 3, 1, 1)
    assert shapes["head.0.weight"] == (64, 3, 3, 3)
    assert shapes["body.9.body.19.body.3.conv_du.0.weight"] == (4, 64, 1, 1)
    assert shapes["body.9.body.20.weight"] == shapes["body.10.weight"] == (64, 64, 3, 3)
    assert shapes["tail.0.2.bias"] == (256,)
    assert shapes["tail.1.weight"] == (3, 64, 3, 3)
    assert list(shapes)[:6] == [
        f"{n}.{w}" for n in ("sub_mean", "head.0", "body.0.body.0.body.0") for w in ("weight", "bias")
    ]


def test_dual_regression_names_and_shapes_are_the_original_ones():
    shapes = build_graph(parse("dual-regression-s", scale=4)).weight_shapes()
    assert shapes["down.1.dual_module.0.0.weight"] == (32, 32, 3, 3)
    assert shapes["down.1.dual_module.1.weight"] == (64, 32, 3, 3)
    assert "down.1.dual_module.1.bias" not in shapes
    assert shapes["up_blocks.0.30.0.weight"] == (256, 64, 3, 3)
    assert shapes["up_blocks.0.31.weight"] == (32, 64, 1, 1)
    assert shapes["up_blocks.1.31.weight"] == (16, 64, 1, 1)
    assert [shapes[f"tail.{k}.weight"][1] for k in range(3)] == [64, 64, 32]


def test_the_id_is_pinned():
    """A change of these ids breaks every archive: they are computed from RFC 8785 by hand."""
    import hashlib

    text = '{"blocks":2,"family":"drn","features":32,"scale":4,"stages":3}'
    assert parse(DRN).id == f"drn-x4-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    assert parse("drn-star", scale=2).id == "drn-x2-7db0d1b3d894"


@given(st.permutations(list(DRN.items())))
def test_the_order_of_fields_does_not_matter(items):
    assert parse(dict(items)).id == parse(DRN).id


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({**DRN, "feature": 3}, "unknown field 'feature'.*did you mean 'features'"),
        ({**DRN, "family": "drm"}, "got 'drm', expected one of .*did you mean 'drn'"),
        ({**DRN, "scale": 5}, "scale: got 5"),
        ({**DRN, "features": "32"}, "features: got '32'"),
        ({**DRN, "blocks": True}, "blocks: got True"),
        ({k: v for k, v in DRN.items() if k != "stages"}, "field 'stages' is missing"),
        ({"schema": "gpnas-sr/spec/2", "architecture": DRN}, "a file of a newer version needs a newer gpnas-sr"),
    ],
)
def test_a_wrong_spec_is_refused_with_the_remedy(fields, message):
    with pytest.raises(SpecError, match=message):
        parse(fields)


def test_an_edited_file_is_refused(tmp_path):
    value = make_spec_file(parse(DRN)).to_json()
    value["architecture"]["blocks"] = 3
    (tmp_path / "spec.json").write_text(json.dumps(value))
    with pytest.raises(SpecError, match="one of them was edited"):
        parse(tmp_path / "spec.json")
    value = make_spec_file(parse(DRN)).to_json()
    value["cost"]["parameters"] += 1
    with pytest.raises(SpecError, match="the architecture costs"):
        parse(value)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        parse(tmp_path / "none.json")
    (tmp_path / "text.json").write_text("{")
    with pytest.raises(UsageError, match="expected one JSON value"):
        parse(tmp_path / "text.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(SpecError, match="got a JSON list"):
        parse(tmp_path / "list.json")


def test_a_preset_needs_a_scale():
    with pytest.raises(SpecError, match="expected scale=2, 3 or 4"):
        parse("drn-star")
