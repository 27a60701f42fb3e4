"""Searches by other packages, each imported when it is asked for: Optuna, BoTorch, SMAC, HEBO.

Each is used as its documentation shows, with its defaults, ordered choices as integers. Forbidden and failed trainings are told
to Optuna and SMAC as failed trials; HEBO is not told of them. BoTorch chooses among the allowed points of the table.
"""

import tempfile
import warnings
from typing import Any

import numpy as np

from benchmarks.nas.methods import Observing
from benchmarks.nas.problems import STARTS, Problem

CHUNK = 8192


class Optuna:
    """A study of ordered choices; begins with the design."""

    def __init__(self, problem: Problem, sampler: Any) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.problem, self.optuna = problem, optuna
        self.study = optuna.create_study(direction="maximize", sampler=sampler)
        self.space = {
            f"x{place}": optuna.distributions.IntDistribution(0, size - 1) for place, size in enumerate(problem.sizes)
        }
        for index in problem.design:
            self.study.enqueue_trial({f"x{place}": int(code) for place, code in enumerate(problem.codes[index])})

    def ask(self) -> int:
        self.trial = self.study.ask(self.space)
        return self.problem.index(np.array([self.trial.params[name] for name in self.space]))

    def tell(self, index: int, score: float) -> None:
        if np.isfinite(score):
            self.study.tell(self.trial, score)
        else:
            self.study.tell(self.trial, state=self.optuna.trial.TrialState.FAIL)

    def recommend(self) -> int:
        params = self.study.best_trial.params
        return self.problem.index(np.array([params[name] for name in self.space]))


def tpe(problem: Problem) -> Optuna:
    import optuna

    # since release 5 the multivariate one is the default
    sampler = optuna.samplers.TPESampler(seed=problem.seed, n_startup_trials=STARTS, multivariate=False)
    return Optuna(problem, sampler)


def multivariate_tpe(problem: Problem) -> Optuna:
    import optuna

    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    sampler = optuna.samplers.TPESampler(seed=problem.seed, n_startup_trials=STARTS, multivariate=True)
    return Optuna(problem, sampler)


def gp_sampler(problem: Problem) -> Optuna:
    import optuna

    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return Optuna(problem, optuna.samplers.GPSampler(seed=problem.seed, n_startup_trials=STARTS))


class BoTorch(Observing):
    """SingleTaskGP with its defaults, log expected improvement over all allowed unseen points of the table."""

    def propose(self) -> int | None:
        import torch
        from botorch.acquisition import LogExpectedImprovement

        left = self.unseen()
        if not len(left):
            return None
        model, scores = self.model()
        acquisition = LogExpectedImprovement(model, best_f=scores.max())
        with torch.no_grad():
            values = [acquisition(part.unsqueeze(1)) for part in self.inputs(left).split(CHUNK)]
        return int(left[int(torch.cat(values).argmax())])

    def recommend(self) -> int:
        import torch

        indices, _ = self.finite()
        model, _ = self.model()
        with torch.no_grad():
            return int(indices[int(model.posterior(self.inputs(indices)).mean.argmax())])

    def inputs(self, indices: np.ndarray) -> Any:
        import torch

        return torch.tensor(self.problem.codes[indices] / (np.array(self.problem.sizes) - 1))

    def model(self) -> tuple[Any, Any]:
        import torch

        indices, values = self.finite()
        scores = torch.tensor(values)
        return fit_botorch(self.inputs(indices), scores[:, None], self.problem.seed), scores


def fit_botorch(inputs: Any, scores: Any, seed: int) -> Any:
    """A fitted SingleTaskGP; scores are standardised by the model (its default)."""
    import torch
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from gpytorch.mlls import ExactMarginalLogLikelihood

    torch.manual_seed(seed)
    model = SingleTaskGP(inputs, scores)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    return model.eval()


class Smac:
    """The black-box facade (Gaussian process) on integers; begins with the design."""

    def __init__(self, problem: Problem) -> None:
        import smac
        from ConfigSpace import Configuration, ConfigurationSpace, Integer

        self.problem, self.smac = problem, smac
        space = ConfigurationSpace(seed=problem.seed)
        self.names = [f"x{place}" for place in range(len(problem.sizes))]
        space.add([Integer(name, (0, size - 1)) for name, size in zip(self.names, problem.sizes, strict=True)])
        design = [
            Configuration(space, values=dict(zip(self.names, problem.codes[index].tolist(), strict=True)))
            for index in problem.design
        ]
        self.folder = tempfile.TemporaryDirectory(prefix="smac-")
        scenario = smac.Scenario(
            space, deterministic=True, n_trials=10_000, seed=problem.seed, output_directory=self.folder.name
        )
        facade = smac.BlackBoxFacade
        self.facade = facade(
            scenario,
            lambda config, seed=0: 0.0,
            initial_design=facade.get_initial_design(scenario, n_configs=0, additional_configs=design),
            overwrite=True,
            logging_level=False,
        )

    def ask(self) -> int:
        self.info = self.facade.ask()
        return self.problem.index(np.array([self.info.config[name] for name in self.names]))

    def tell(self, index: int, score: float) -> None:
        from smac.runhistory.dataclasses import TrialValue
        from smac.runhistory.enumerations import StatusType

        failed = not np.isfinite(score)
        status = StatusType.CRASHED if failed else StatusType.SUCCESS
        self.facade.tell(self.info, TrialValue(cost=np.inf if failed else -score, status=status), save=False)

    def recommend(self) -> int:
        best = self.facade.intensifier.get_incumbent()
        return self.problem.index(np.array([best[name] for name in self.names]))


class Hebo(Observing):
    """HEBO on integers; begins with the design."""

    def __init__(self, problem: Problem) -> None:
        from hebo.design_space.design_space import DesignSpace
        from hebo.optimizers.hebo import HEBO

        super().__init__(problem)
        np.random.seed(problem.seed)  # HEBO draws from the global generator
        parameters = [
            {"name": f"x{place}", "type": "int", "lb": 0, "ub": size - 1} for place, size in enumerate(problem.sizes)
        ]
        self.hebo = HEBO(DesignSpace().parse(parameters), rand_sample=STARTS, scramble_seed=problem.seed)

    def frame(self, index: int) -> Any:
        import pandas

        return pandas.DataFrame([{f"x{place}": int(code) for place, code in enumerate(self.problem.codes[index])}])

    def propose(self) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            row = self.hebo.suggest(1).iloc[0]
        return self.problem.index(np.array([int(row[f"x{place}"]) for place in range(len(self.problem.sizes))]))

    def tell(self, index: int, score: float) -> None:
        super().tell(index, score)
        if np.isfinite(score):
            self.hebo.observe(self.frame(index), np.array([[-score]]))
