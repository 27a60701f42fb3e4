"""Training a whole suite into a run folder: what it leaves and skips; and that a killed run ends with the same bits."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shared.data.pack import Pack
from shared.errors import UsageError, WorkError
from shared.metrics import psnr_rgb
from shared.records.archive import Archive
from shared.records.suite import read_suite
from shared.records.training_log import BestValidation, read_log
from shared.records.weights import load_weights, save_weights
from shared.spec import make_spec_file, parse
from tests.train_torch.training.runs import CONFIG, DRN, DUAL, RCAN, SCALE, spec_file
from train_torch.config import TrainConfig
from train_torch.network import build
from train_torch.training.checkpoint import load_checkpoint
from train_torch.training.member import MemberTask, identity
from train_torch.training.module import initial_training_weights
from train_torch.training.run import train_suite
from train_torch.training.run_folder import RunFolder

pytestmark = pytest.mark.torch


def _weights(run: Path, architecture: dict[str, Any]) -> dict[str, np.ndarray]:
    return load_weights(RunFolder(run).weights(parse(architecture).id)).weights


def _assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name, array in a.items():
        assert np.array_equal(array, b[name]), name


def test_suite_has_equal_shares_and_specs_keep_their_search(run: Path) -> None:
    suite = read_suite(run)
    assert [member.spec.family for member in suite.members] == ["drn", "rcan", "dual_regression"]
    assert [member.weight for member in suite.members] == [pytest.approx(1 / 3)] * 3
    for member in suite.members:
        assert member.weights_path is not None
        assert load_weights(member.weights_path).spec == member.spec
        assert Archive(run / "archive").read(member.spec.id).search == {"run": "test"}


def test_weights_are_the_running_mean_and_say_so(run: Path, pack: Path) -> None:
    spec = parse(DRN)
    file = load_weights(RunFolder(run).weights(spec.id))
    assert file.provenance["weights"] == "ema"
    assert file.provenance["ema_decay"] == CONFIG.ema_decay
    checkpoint = _checkpoint(run, DRN)
    _assert_same(file.weights, dict(checkpoint.arrays["average"]))
    assert not np.array_equal(file.weights["head.weight"], checkpoint.arrays["weights"]["head.weight"])


def _checkpoint(run: Path, architecture: dict[str, Any]) -> Any:
    folder, spec = RunFolder(run), parse(architecture)
    provenance = load_weights(folder.weights(spec.id)).provenance
    return load_checkpoint(folder.checkpoint(spec.id), provenance["training"])


def test_recorded_psnr_is_that_of_the_weights(run: Path, pack: Path) -> None:
    file = load_weights(RunFolder(run).weights(parse(RCAN).id))
    network = build(file.spec, weights=file.network)
    values = []
    with Pack(pack) as opened, torch.no_grad():
        for name in opened.pairs("validation"):
            lr = torch.from_numpy(opened.lr(name)).permute(2, 0, 1)[None] / 255
            sr = (network(lr)[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy().astype(np.uint8)
            values.append(psnr_rgb(sr, opened.hr(name), crop=SCALE))
    assert file.provenance["psnr_rgb"] == pytest.approx(np.mean(values), abs=1e-4)


def test_dual_models_are_saved_beside_the_network(run: Path) -> None:
    weights = _weights(run, DUAL)
    assert "dual.0.dual_module.1.weight" in weights
    start = initial_training_weights(parse(DUAL), CONFIG.seed)
    assert not np.array_equal(weights["dual.0.dual_module.1.weight"], start["dual.0.dual_module.1.weight"])
    provenance = load_weights(RunFolder(run).weights(parse(DUAL).id)).provenance
    assert "antialiased" in provenance["middle_target"]


def test_log_has_losses_and_validations(run: Path) -> None:
    lines = read_log(RunFolder(run).log(parse(DUAL).id))
    assert [line.step for line in lines] == [2, 4, 6]
    assert [line.psnr_rgb is not None for line in lines] == [False, True, True]
    assert set(lines[0].terms) == {"l1", "ms_ssim", "image.0", "dual.0"}
    best = max((line for line in lines if line.psnr_rgb), key=lambda line: line.psnr_rgb)
    assert lines[-1].best == BestValidation(step=best.step, psnr_rgb=best.psnr_rgb)


def test_a_finished_run_is_not_trained_again(run: Path, pack: Path) -> None:
    paths = [RunFolder(run).weights(parse(a).id) for a in (DRN, RCAN, DUAL)]
    before = [path.stat().st_mtime_ns for path in paths]
    result = train_suite([run], pack=pack, out=run, config=CONFIG)
    assert [path.stat().st_mtime_ns for path in paths] == before
    assert [member.id for member in result.members] == [parse(a).id for a in (DRN, RCAN, DUAL)]
    value = result.to_json()
    assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_bookkeeping_may_change(run: Path, pack: Path) -> None:
    train_suite([run], pack=pack, out=run, config=CONFIG.model_copy(update={"log_every": 7, "tensorboard": True}))


def test_shares_can_be_those_that_err_least(run: Path, pack: Path, tmp_path: Path) -> None:
    """Without a new training; errors measured here. The member without an image skip has learnt nothing in six steps."""
    copy = shutil.copytree(run, tmp_path / "run")
    train_suite([copy], pack=pack, out=copy, config=CONFIG.model_copy(update={"member_shares": "validation"}))
    shares = [member.weight for member in read_suite(copy).members]
    assert sum(shares) == pytest.approx(1)
    assert shares[2] < 0.05
    errors = _validation_errors([load_weights(m.weights_path).weights for m in read_suite(run).members], pack)
    fitted, equal = (np.mean(np.tensordot(point, errors, 1) ** 2) for point in (shares, [1 / 3] * 3))
    assert fitted < 0.5 * equal


def test_shares_follow_the_camera_spread(run: Path, pack: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    settings = {"member_shares": "validation", "camera_spread": 1e3}
    train_suite([copy], pack=pack, out=copy, config=CONFIG.model_copy(update=settings))
    assert [member.weight for member in read_suite(copy).members] == pytest.approx([1 / 3] * 3)


def _validation_errors(weights: list[dict[str, np.ndarray]], pack: Path) -> np.ndarray:
    """(members, samples) errors on the validation pairs, border left out."""
    rows = []
    for arrays, architecture in zip(weights, (DRN, RCAN, DUAL), strict=True):
        network = build(parse(architecture), weights={k: v for k, v in arrays.items() if not k.startswith("dual.")})
        with Pack(pack) as opened, torch.no_grad():
            parts = []
            for name in opened.pairs("validation"):
                sr = network(torch.from_numpy(opened.lr(name)).permute(2, 0, 1)[None] / 255)[0].permute(1, 2, 0).numpy()
                parts.append((sr - opened.hr(name) / 255)[SCALE:-SCALE, SCALE:-SCALE].ravel())
        rows.append(np.concatenate(parts))
    return np.stack(rows)


def test_training_can_start_from_given_weights(run: Path, pack: Path, tmp_path: Path) -> None:
    config = CONFIG.model_copy(
        update={"init": "source", "steps": 1, "learning_rate": 1e-12, "minimum_learning_rate": 0.0}
    )
    source = RunFolder(run).weights(parse(DUAL).id)
    train_suite([source], pack=pack, out=tmp_path / "out", config=config)
    ours, start = _weights(tmp_path / "out", DUAL), _weights(run, DUAL)
    assert max(np.abs(ours[name] - start[name]).max() for name in start) <= 1e-7
    with pytest.raises(UsageError, match="no weights"):
        train_suite([spec_file(tmp_path, DRN)], pack=pack, out=tmp_path / "other", config=config)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_member_that_diverges_is_named_and_the_others_are_trained(
    run: Path, pack: Path, tmp_path: Path, jobs: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Weights near the end of float32 overflow in the first step."""
    caplog.set_level(logging.ERROR)
    spec = parse(RCAN)
    huge = {name: np.full_like(array, 1e30) for name, array in initial_training_weights(spec, 0).items()}
    save_weights(tmp_path / "huge.safetensors", huge, spec, {})
    sources = [tmp_path / "huge.safetensors", RunFolder(run).weights(parse(DRN).id)]
    config = CONFIG.model_copy(update={"init": "source", "steps": 2})
    with pytest.raises(WorkError, match=rf"1 of 2 members failed: {spec.id}.*cut from pair_\d, pair_\d"):
        train_suite(sources, pack=pack, out=tmp_path / "out", config=config, jobs=jobs)
    assert RunFolder(tmp_path / "out").weights(parse(DRN).id).exists()
    assert not (tmp_path / "out" / "suite.json").exists()


def _command(specs: list[Path], pack: Path, out: Path, config: Path, *options: str) -> list[str]:
    names = [str(spec) for spec in specs]
    return [
        sys.executable,
        "-m",
        "shared.cli.main",
        "train",
        *names,
        "--data",
        str(pack),
        "--out",
        str(out),
        "--config",
        str(config),
        *options,
    ]


def _wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline, "no checkpoint in five minutes"
        time.sleep(0.005)


def _toml(path: Path, config: TrainConfig) -> Path:
    fields = {name: value for name, value in config.model_dump().items() if value is not None}
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in fields.items()))
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "jobs", "status"), [(signal.SIGKILL, 1, -9), (signal.SIGKILL, 2, -9), (signal.SIGTERM, 2, 130)]
)
def test_a_killed_command_run_again_ends_with_the_same_bits(
    number: signal.Signals, jobs: int, status: int, pack: Path, tmp_path: Path
) -> None:
    """The kill comes at the first checkpoint, which is long before the end. With two jobs, children must notice it."""
    specs = [spec_file(tmp_path / "specs", architecture) for architecture in (DRN, DUAL)][:jobs]
    config = CONFIG.model_copy(update={"steps": 200, "checkpoint_every": 10, "validate_every": 75})
    toml = _toml(tmp_path / "train.toml", config)
    train_suite(specs, pack=pack, out=tmp_path / "whole", config=config)
    out = tmp_path / "out"
    command = _command(specs, pack, out, toml, "--jobs", str(jobs), "--json")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        _wait_for(RunFolder(out).checkpoint(parse(DRN).id), process)
        process.send_signal(number)
        _, told = process.communicate(timeout=300)
    assert process.returncode == status, told
    assert not RunFolder(out).weights(parse(DRN).id).exists(), "the kill came too late to show anything"
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert again.returncode == 0, again.stderr
    value = json.loads(again.stdout)
    assert [member["id"] for member in value["members"]] == [parse(a).id for a in (DRN, DUAL)][: len(specs)]
    for architecture in (DRN, DUAL)[: len(specs)]:
        _assert_same(_weights(out, architecture), _weights(tmp_path / "whole", architecture))
        logs = [_timeless(RunFolder(folder).log(parse(architecture).id)) for folder in (out, tmp_path / "whole")]
        assert logs[0] == logs[1]


def _timeless(path: Path) -> list[dict[str, Any]]:
    return [line.model_dump(exclude={"seconds_per_step"}) for line in read_log(path)]


def test_identity_leaves_out_bookkeeping(run: Path, pack: Path) -> None:
    task = MemberTask(
        spec_file=make_spec_file(parse(DRN), None), init=None, pack=pack, out=RunFolder(run), config=CONFIG
    )
    with Pack(pack) as opened:
        assert "log_every" not in identity(task, opened)["config"]
        assert identity(task, opened)["config"]["steps"] == 6
