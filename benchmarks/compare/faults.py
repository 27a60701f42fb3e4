"""The catalogue of planted faults: 24 of networks (reference list), six of trainings, and others of our own families.

A fault is planted through the seam that users have: `Subject.network` and `Subject.training` name functions that build the
network or start the training. faults_torch.py and faults_paddle.py build them; what is no matter of a framework (another
graph, other weights) is here.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from shared.network.graph import Graph
from shared.network.primitives import Primitive
from shared.spec import parse

NETS = {
    "rcan": {
        "family": "rcan",
        "scale": 2,
        "features": 8,
        "groups": 2,
        "blocks": 2,
        "reduction": 4,
        "image_skip": "bicubic",
    },
    "drn": {"family": "drn", "scale": 3, "features": 8, "blocks": 3, "stages": 3, "reduction": 4},
    "nafnet": {"family": "nafnet", "scale": 2, "features": 6, "blocks": 2},
    "dual": {"family": "dual_regression", "scale": 4, "features": 8, "blocks": 1, "reduction": 4},
}
SPECS = {name: parse(fields) for name, fields in NETS.items()}

Arrays = Mapping[str, np.ndarray]
Change = Callable[[Graph, Arrays], tuple[Graph, Arrays]]
CONV = "body.0.body.1.body.2"  # of rcan: 3x3, as many outputs as inputs
BLOCK = "body.0.body.1"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A planted fault.

    Attributes:
        net: key of NETS.
        nodes: right to blame; a rewired spot may name its neighbours. Empty: a fault of the training.
        parts: (step, part) of the training that are right to blame first.
        change: of graph and weights; None: built in the framework's own file.
    """

    net: str
    nodes: tuple[str, ...] = ()
    parts: tuple[tuple[int, str], ...] = ()
    change: Change | None = None


def with_node(graph: Graph, name: str, **changes: object) -> Graph:
    """One node changed."""
    return dataclasses.replace(
        graph, nodes=tuple(dataclasses.replace(n, **changes) if n.name == name else n for n in graph.nodes)
    )


def rewired(name: str, *inputs: str) -> Change:
    """A node that reads others."""
    return lambda graph, weights: (with_node(graph, name, inputs=inputs), weights)


def altered(name: str, **changes: object) -> Change:
    return lambda graph, weights: (with_node(graph, name, **changes), weights)


def reweighted(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Change:
    """One array changed, shape kept."""
    return lambda graph, weights: (
        graph,
        {**weights, name: np.ascontiguousarray(change(weights[name]), dtype=np.float32)},
    )


def one_value(rounding: Callable[[np.float32], float]) -> Callable[[np.ndarray], np.ndarray]:
    def change(weight: np.ndarray) -> np.ndarray:
        weight = weight.copy()
        weight.flat[5] = rounding(weight.flat[5])
        return weight

    return change


def bfloat16(value: np.float32) -> np.float32:
    """Rounded to the upper 16 bits."""
    bits = np.float32(value).view(np.uint32)
    return np.uint32((int(bits) + 0x8000) & 0xFFFF0000).view(np.float32)


def without_bias(graph: Graph, weights: Arrays) -> tuple[Graph, Arrays]:
    return with_node(graph, CONV, bias=False), {k: v for k, v in weights.items() if k != f"{CONV}.bias"}


def relu_later(*, behind: str) -> Change:
    """The ReLU of a block moved behind another node of it."""
    relu = f"{BLOCK}.body.1"

    def change(graph: Graph, weights: Arrays) -> tuple[Graph, Arrays]:
        def moved(node: Primitive) -> Primitive:
            if node.name == relu:
                return dataclasses.replace(node, inputs=(behind,))
            reads = {relu: f"{BLOCK}.body.0", behind: relu}
            return dataclasses.replace(node, inputs=tuple(reads.get(x, x) for x in node.inputs))

        nodes = [moved(node) for node in graph.nodes]
        activation = nodes.pop(next(i for i, n in enumerate(nodes) if n.name == relu))
        nodes.insert(next(i for i, n in enumerate(nodes) if n.name == behind) + 1, activation)
        return dataclasses.replace(graph, nodes=tuple(nodes)), weights

    return change


def twice(name: str) -> Change:
    """A second node with the same weights behind a convolution."""

    def change(graph: Graph, weights: Arrays) -> tuple[Graph, Arrays]:
        nodes: list[Primitive] = []
        for node in graph.nodes:
            nodes.append(
                dataclasses.replace(node, inputs=tuple(f"{name}_again" if x == name else x for x in node.inputs))
            )
            if node.name == name:
                again = dataclasses.replace(node, name=f"{name}_again", inputs=(name,), weights=node.owner)
                nodes.append(again)
        return dataclasses.replace(graph, nodes=tuple(nodes)), weights

    return change


def stale(weight: np.ndarray) -> np.ndarray:
    return np.random.default_rng(9).uniform(-1, 1, weight.shape) * np.abs(weight).max()


SPOT = (f"{BLOCK}.body.0", f"{BLOCK}.body.1", f"{BLOCK}.body.2", f"{BLOCK}.body.3.avg_pool", f"{BLOCK}.body.3.multiply")
READERS = ("input", "to_range", "image_skip")

NETWORK: dict[str, Fault] = {
    "rgb_bgr": Fault(net="rcan", nodes=READERS),
    "range_255": Fault(net="rcan", nodes=READERS),
    "o_i_transposed": Fault(net="rcan", nodes=(CONV,), change=reweighted(f"{CONV}.weight", lambda w: w.swapaxes(0, 1))),
    "kh_kw_transposed": Fault(
        net="rcan", nodes=(CONV,), change=reweighted(f"{CONV}.weight", lambda w: w.swapaxes(2, 3))
    ),
    "kernel_flipped": Fault(
        net="rcan", nodes=(CONV,), change=reweighted(f"{CONV}.weight", lambda w: w[:, :, ::-1, ::-1])
    ),
    "bias_missing": Fault(net="rcan", nodes=(CONV,), change=without_bias),
    "slope": Fault(net="dual", nodes=("down.1.dual_module.0.1",), change=altered("down.1.dual_module.0.1", slope=0.1)),
    "align_corners": Fault(net="dual", nodes=("upsample",)),
    "norm_eps_1e-3": Fault(net="rcan", nodes=(CONV,)),
    "norm_eps_1e-6": Fault(net="rcan", nodes=(CONV,)),
    "norm_train_mode": Fault(net="rcan", nodes=(CONV,)),
    "max_for_mean": Fault(net="rcan", nodes=(f"{BLOCK}.body.3.avg_pool",)),
    "relu_after_second_conv": Fault(net="rcan", nodes=SPOT, change=relu_later(behind=f"{BLOCK}.body.2")),
    "relu_after_add": Fault(
        net="rcan", nodes=(*SPOT, f"{BLOCK}.add", "body.0.body.2"), change=relu_later(behind=f"{BLOCK}.add")
    ),
    "skip_missing": Fault(net="rcan", nodes=("body.0.add",)),
    "stale_weight": Fault(net="rcan", nodes=(CONV,), change=reweighted(f"{CONV}.weight", stale)),
    "one_weight_bf16": Fault(net="rcan", nodes=(CONV,), change=reweighted(f"{CONV}.weight", one_value(bfloat16))),
    "one_weight_fp16": Fault(net="rcan", nodes=(CONV,), change=reweighted(f"{CONV}.weight", one_value(np.float16))),
    "one_weight_ulp": Fault(
        net="rcan",
        nodes=(CONV,),
        change=reweighted(f"{CONV}.weight", one_value(lambda v: np.nextafter(v, np.float32(9)))),
    ),
    "hard_sigmoid": Fault(net="rcan", nodes=(f"{BLOCK}.body.3.conv_du.3",)),
    "reflect_padding": Fault(net="rcan", nodes=(CONV,)),
    "shuffle_order": Fault(net="rcan", nodes=("tail.0.1",)),
    "mean_sign": Fault(net="rcan", nodes=("sub_mean",), change=reweighted("sub_mean.bias", np.negative)),
    "skip_detached": Fault(net="rcan", nodes=("body.0.add",)),
}

NAF = "body.1"  # of nafnet


def swapped_halves(graph: Graph, weights: Arrays) -> tuple[Graph, Arrays]:
    half = SPECS["nafnet"].features
    graph = with_node(graph, f"{NAF}.sg1.a", maps=(half, None))
    return with_node(graph, f"{NAF}.sg1.b", maps=(0, half)), weights


def interleaved(graph: Graph, weights: Arrays) -> tuple[Graph, Arrays]:
    """Even channels times odd ones."""
    graph = with_node(graph, f"{NAF}.sg1.a", maps=(0, None, 2))
    return with_node(graph, f"{NAF}.sg1.b", maps=(1, None, 2)), weights


NAFNET: dict[str, Fault] = {
    "layer_norm_eps": Fault(net="nafnet", nodes=(f"{NAF}.norm1",), change=altered(f"{NAF}.norm1", eps=1e-5)),
    "layer_norm_over_pixels": Fault(net="nafnet", nodes=(f"{NAF}.norm1",)),
    "layer_norm_unbiased_variance": Fault(net="nafnet", nodes=(f"{NAF}.norm2",)),
    "groups_mixed": Fault(net="nafnet", nodes=(f"{NAF}.conv2",)),
    "groups_shuffled": Fault(net="nafnet", nodes=(f"{NAF}.conv2",)),
    "gate_halves_swapped": Fault(net="nafnet", nodes=(f"{NAF}.sg1.a", f"{NAF}.sg1.b"), change=swapped_halves),
    "gate_interleaved": Fault(net="nafnet", nodes=(f"{NAF}.sg1.a", f"{NAF}.sg1.b"), change=interleaved),
    "attention_before_gate": Fault(
        net="nafnet", nodes=(f"{NAF}.sca.0",), change=rewired(f"{NAF}.sca.0", f"{NAF}.sg1.a")
    ),
    "beta_for_gamma": Fault(
        net="nafnet",
        nodes=(f"{NAF}.gamma",),
        change=lambda graph, weights: (graph, {**weights, f"{NAF}.gamma.weight": weights[f"{NAF}.beta.weight"]}),
    ),
    "channel_scale_detached": Fault(net="nafnet", nodes=(f"{NAF}.beta",)),
}

FAMILIES: dict[str, Fault] = NAFNET | {
    "ibsc_wrong_stage": Fault(
        net="drn",
        nodes=("body.2.stages.1.ibsc", "body.2.stages.1.0", "body.2.stages.2.0"),
        change=lambda graph, weights: (
            with_node(
                with_node(graph, "body.2.stages.1.0", inputs=("body.2.stages.0.2",)),
                "body.2.stages.2.0",
                inputs=("body.2.stages.1.ibsc",),
            ),
            weights,
        ),
    ),
    "ibsc_from_wrong_block": Fault(
        net="drn", nodes=("body.2.stages.0.ibsc",), change=rewired("body.2.stages.0.ibsc", "body.1.add", "head")
    ),
    "fusion_order": Fault(
        net="drn",
        nodes=("body.1.concat",),
        change=rewired("body.1.concat", "body.1.stages.1.2", "body.1.stages.0.2", "body.1.stages.2.2"),
    ),
    "stage_chain_cut": Fault(net="drn", nodes=("body.0.stages.1.0",), change=rewired("body.0.stages.1.0", "head")),
    "image_skip_other_cubic": Fault(
        net="rcan", nodes=("image_skip",), change=altered("image_skip", kernel="cubic_torch")
    ),
    "mean_shift_twice": Fault(net="rcan", nodes=("sub_mean", "head.0"), change=twice("sub_mean")),
    "gate_of_other_block": Fault(
        net="rcan",
        nodes=("body.1.body.1.body.3.multiply",),
        change=rewired("body.1.body.1.body.3.multiply", "body.1.body.1.body.2", "body.1.body.0.body.3.conv_du.3"),
    ),
    "long_skip_from_wrong_node": Fault(
        net="rcan", nodes=("body.add",), change=rewired("body.add", "body.2", "body.0.add")
    ),
    "octave_copy_order": Fault(
        net="dual",
        nodes=("up_blocks.1.concat",),
        change=rewired("up_blocks.1.concat", "head", "up_blocks.1.2"),
    ),
}

TRAINING: dict[str, Fault] = {
    "gradients_not_cleared": Fault(net="drn", parts=((2, "gradient"),)),
    "adam_eps_1e-7": Fault(net="drn", parts=((1, "optimiser"),)),
    "decay_of_adamw": Fault(net="drn", parts=((1, "optimiser"),)),
    "weight_left_out": Fault(net="drn", parts=((1, "optimiser"),)),
    "beta2_0.99": Fault(net="drn", parts=((1, "optimiser"),)),
    "schedule_one_step_early": Fault(net="drn", parts=((1, "learning rate"),)),
}

FAMILY_TRAINING: dict[str, Fault] = {
    "dual_loss_weights": Fault(net="dual", parts=((1, "loss"), (1, "gradient"))),
    "ema_one_step_late": Fault(net="drn", parts=((1, "average"),)),
    "dual_models_swapped": Fault(net="dual", parts=((0, "initial weights"),)),
}

FAULTS: dict[str, Fault] = NETWORK | TRAINING | FAMILIES | FAMILY_TRAINING
