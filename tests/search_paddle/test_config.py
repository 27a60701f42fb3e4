"""Search settings: read from TOML, and refused with a remedy."""

from pathlib import Path

import pytest

from search_paddle.config import DEFAULTS, ProxyConfig, SearchConfig, make_config, read_config
from shared.errors import UsageError
from shared.identity import differences


def test_a_file_is_read_and_given_fields_stand_above_it(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("trials = 6\nseed = 3\nmax_macs_per_pixel = 1000\n[proxy]\nsteps = 12\nlearning_rate = 1\n")
    config = read_config(path, trials=8, seed=None)
    assert (config.trials, config.seed, config.max_macs_per_pixel) == (8, 3, 1000.0)
    assert config.proxy == ProxyConfig(steps=12, learning_rate=1.0)
    assert read_config(None) == SearchConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trails = 3", "unknown field 'trails' .did you mean 'trials'"),
        ("trials = 0", "trials: got 0"),
        ("trials = '3'", "trials: got '3'"),
        ("seed = 1.5", "seed: got 1.5"),
        ("minutes = nan", "minutes: got nan"),
        ("proxy = 3", "proxy: got 3, expected a table"),
        ("[proxy]\nstep = 3", r"\[proxy\]: unknown field 'step' .did you mean 'steps'"),
        ("[proxy]\nlearning_rate = 1e-9", "minimum_learning_rate: got 1e-06, expected at most learning_rate 1e-09"),
        ("stop_margin = 1.0", "stop_margin: got 1.0 with validations 1, expected validations of at least 2"),
        ("suite_size = 13", "suite_size: got 13"),
        ("trials 3", "expected TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read_config(tmp_path / "c.toml")
    assert "c.toml" in str(caught.value)


def test_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_config(tmp_path / "none.toml")


def test_a_crop_too_small_for_the_levels_of_ms_ssim_is_refused_with_both_remedies() -> None:
    config = ProxyConfig(patch=32, ms_ssim_weight=0.1, ms_ssim_levels=4)
    config.check_scale(3)  # 96 px, 88 needed
    with pytest.raises(
        UsageError, match=r"64 px.*levels 4, which need 88 px; set ms_ssim_levels = 3 at most, or patch = 44 at least"
    ):
        config.check_scale(2)
    with pytest.raises(UsageError, match="ms_ssim_weight = 0"):
        ProxyConfig(patch=4, ms_ssim_weight=0.1).check_scale(2)
    ProxyConfig(patch=4).check_scale(2)  # L1 alone has no smallest crop


def test_only_the_extent_of_a_search_is_no_part_of_its_identity() -> None:
    config = SearchConfig()
    assert config.identity() == make_config({"trials": 99, "minutes": 2, "jobs": 7}).identity()
    for change in ({"round_size": 5}, {"seed": 1}, {"max_parameters": 9}, {"proxy": {"steps": 1}}):
        assert config.identity() != make_config(change).identity()


def test_settings_that_mean_what_was_done_before_them_have_the_identity_of_that_time() -> None:
    former = make_config({"suite_proposals": False, "proxy": {"residual_windows": 0}}).identity()
    assert former.keys() == {"round_size", "seed", "max_parameters", "max_macs_per_pixel", "proxy"}
    assert not {"validations", "residual_windows"} & former["proxy"].keys()
    for fields in ({"suite_size": 2}, {"max_suite_parameters": 9}, {"proxy": {"validations": 2}}):
        assert make_config(fields).identity() != make_config({}).identity()


def test_validations_are_spread_evenly_and_end_the_training() -> None:
    assert ProxyConfig(steps=500).validated_after == (500,)
    assert ProxyConfig(steps=500, validations=4).validated_after == (125, 250, 375, 500)
    assert ProxyConfig(steps=3, validations=9).validated_after == (1, 2, 3)


def test_what_an_earlier_journal_lacks_counts_as_it_was_done_then():
    header = {"config": SearchConfig(suite_size=3, suite_proposals=False).identity()}
    first = {"config": {name: value for name, value in header["config"].items() if name != "max_parameters"}}
    assert differences(first, header, DEFAULTS) == []
    changed = {"config": SearchConfig(suite_size=3, suite_proposals=False, max_parameters=9).identity()}
    assert differences(first, changed, DEFAULTS) == ["config.max_parameters: None there, 9 here"]
    changed = {"config": SearchConfig(suite_size=3).identity()}
    assert differences(header, changed, DEFAULTS) == ["config.suite_proposals: False there, True here"]
