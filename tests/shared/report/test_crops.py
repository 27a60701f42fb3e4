import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.errors import PairError
from shared.metrics import psnr_rgb
from shared.report.crops import SIDE, best_window, read_example, squared_gain
from shared.report.read import read_runs


def brute_force(gain, *, step, border, side):
    """Every window, added up one by one; the first of the largest."""
    best = None
    for top in range(0, gain.shape[0], step):
        for left in range(0, gain.shape[1], step):
            is_inside = min(top, left) >= border and all(
                at + side <= size - border for at, size in zip((top, left), gain.shape, strict=True)
            )
            if is_inside:
                total = sum(int(value) for value in gain[top : top + side, left : left + side].ravel())
                if best is None or total > best[0]:
                    best = (total, top, left)
    return best[1:]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), step=st.sampled_from([2, 3, 4]), lines=st.integers(0, 1))
def test_window_is_the_one_found_by_brute_force(seed, step, lines):
    gain = np.random.default_rng(seed).integers(-5, 6, (12 * step, 9 * step))  # few values: sums often tie
    window = best_window(gain, step=step, border=lines * step, side=3 * step)
    assert (window.top, window.left) == brute_force(gain, step=step, border=lines * step, side=3 * step)
    assert window.side == 3 * step


def test_window_of_a_planted_gain():
    gain = np.full((200, 160), -1)
    gain[100:172, 40:112] = 5
    window = best_window(gain, step=4, border=4)
    assert (window.top, window.left, window.side) == (100, 40, SIDE)


def test_the_border_that_metrics_leave_out_is_left_out():
    gain = np.zeros((200, 160), dtype=np.int64)
    gain[:4] = gain[:, :4] = 1000
    gain[50, 60] = 1
    window = best_window(gain, step=4, border=3)
    assert min(window.top, window.left) >= 4
    assert best_window(gain, step=4, border=0).top == 0  # the control: without a border the frame wins


def test_window_shrinks_to_a_small_picture():
    window = best_window(np.zeros((30, 50), dtype=np.int64), step=4, border=4)
    assert (window.side, window.top, window.left) == (28, 0, 0)


def test_gain_is_the_difference_of_squared_errors_without_overflow():
    hr = np.zeros((1, 2, 3), dtype=np.uint8)
    bicubic = np.full_like(hr, 255)
    ensemble = np.full_like(hr, 3)
    assert squared_gain(bicubic, ensemble, hr).tolist() == [[3 * (255**2 - 9)] * 2]
    assert squared_gain(ensemble, bicubic, hr).max() < 0  # the control: the other way round it is a loss


def read(folder, index=0):
    (ablation,) = read_runs([folder]).ablations
    members = list(dict.fromkeys(row.members[0] for row in ablation.table.rows if len(row.members) == 1))
    return read_example(ablation.examples[index], members=members, scale=4, crop=4), members


def test_crops_are_cut_at_one_place_and_carry_their_own_psnr(demo):
    example, members = read(demo / "ablation")
    assert [crop.name for crop in example.crops] == ["lr", "bicubic", *members, "ensemble", "hr"]
    pixels = {crop.name: crop.pixels for crop in example.crops}
    top, left, side = example.window.top, example.window.left, example.window.side
    np.testing.assert_array_equal(pixels["hr"], example.hr[top : top + side, left : left + side])
    assert top % 4 == left % 4 == side % 4 == 0
    lr = np.asarray(Image.open(demo / "ablation" / "images" / example.name / "lr.png"))
    cut = lr[top // 4 : (top + side) // 4, left // 4 : (left + side) // 4]
    np.testing.assert_array_equal(pixels["lr"], np.kron(cut, np.ones((4, 4, 1), np.uint8)))
    for crop in example.crops:
        assert crop.psnr_rgb == (None if crop.name == "hr" else psnr_rgb(crop.pixels, pixels["hr"]))


def test_a_suite_of_one_has_its_member_for_an_ensemble(tmp_path, runs):
    (one,) = runs.ids[:1]
    runs.ablation(tmp_path, {"pair": runs.pair(runs.image(0), [one])}, [one])
    (tmp_path / "images" / "pair" / "ensemble.png").unlink()  # `ablate` writes none
    example, members = read(tmp_path)
    np.testing.assert_array_equal(example.ensemble, np.asarray(Image.open(tmp_path / "images" / "pair" / f"{one}.png")))
    assert members == [one]
    assert [crop.name for crop in example.crops] == ["lr", "bicubic", one, "hr"]


def test_deep_pictures_are_shown_at_8_bits(demo):
    path = demo / "ablation" / "images" / "pair_0" / "hr.png"
    before, _ = read(demo / "ablation")
    deep = np.asarray(Image.open(path)).astype(np.uint16) * 257
    import cv2

    cv2.imwrite(str(path), deep[..., ::-1])
    after, _ = read(demo / "ablation")
    np.testing.assert_array_equal(after.hr, before.hr)


@pytest.mark.parametrize(("name", "size"), [("bicubic", (32, 40)), ("lr", (7, 7))])
def test_a_picture_of_another_size_is_refused(demo, name, size):
    path = demo / "ablation" / "images" / "pair_0" / f"{name}.png"
    Image.new("RGB", size).save(path)
    with pytest.raises(PairError, match=rf"{name}\.png: .* expected 112x96 as hr\.png"):
        read(demo / "ablation")
