"""Search spaces in TOML files."""

import pytest

from shared.errors import SpecError, UsageError
from shared.space import SearchSpace

TOML = """
categorical = ["ibsc_mode"]
[constants]
image_skip = "bicubic"
[families.drn]
features = [16, 32]
ibsc_mode = ["sum", "concat"]
[families.rcan]
features = [32, 64]
"""


def test_a_toml_file_is_a_space(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(TOML)
    space = SearchSpace.from_toml(path, scale=4)
    drn = {"features": [16, 32], "ibsc_mode": ["sum", "concat"]}
    assert space == SearchSpace.from_families(
        {"drn": drn, "rcan": {"features": [32, 64]}}, {"scale": 4, "image_skip": "bicubic"}, ["ibsc_mode"]
    )
    path.write_text("[choices]\na = [1, 2]\n")
    assert SearchSpace.from_toml(path) == SearchSpace.from_choices({"a": [1, 2]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[familys.drn]\nfeatures = [1]", "did you mean 'families'"),
        ("[constants]\nscale = 4", "both or neither"),
        ("[families]\ndrn = 3", "expected a table"),
        ("[families.drn]\nfeatures = 16", r"one choice is written \[16\]"),
        ("categorical = 'a'\n[choices]\na = [1]", "expected a list of dimension names"),
        ("scale = [", "expected TOML"),
    ],
)
def test_a_broken_toml_file_is_named_with_the_remedy(tmp_path, text, message):
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        SearchSpace.from_toml(path)
    assert str(path) in str(caught.value)


def test_constants_of_file_and_caller_must_agree(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text("[constants]\nscale = 4\n[choices]\na = [1]\n")
    assert SearchSpace.from_toml(path, scale=4).constants == {"scale": 4}
    with pytest.raises(SpecError, match="got 4 in the space and 2 from the caller"):
        SearchSpace.from_toml(path, scale=2)
    with pytest.raises(UsageError, match="no such file"):
        SearchSpace.from_toml(tmp_path / "none.toml")
