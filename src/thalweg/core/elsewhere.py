"""What other packages call things, and what they are called here: for messages only, no word stands for another."""

from __future__ import annotations

_KEYWORDS = {
    "max_evals": "n_trials n_calls n_iter maxiter maxfun maxfev max_iter max_evaluations max_nfev num_samples budget "
    "total_trials trials iterations evaluations n_evals evals num_evaluations",
    "the second argument, the space": "bounds search_space dimensions parameter_space pbounds config parametrization "
    "configspace ranges",
    "functools.partial around the objective": "args kwargs fargs f_args",
    "timeout (seconds)": "max_time time_limit walltime_limit wall_clock_limit time_budget time_budget_s max_seconds",
    "workers": "n_jobs num_workers max_workers jobs threads processes n_workers parallel batch_size concurrency",
    "strategy": "sampler algo algorithm method search_alg optimizer solver suggest",
    "seed": "random_state rng random_seed rstate",
    "initial (points to try first)": "x0 points_to_evaluate points init_points start guess initial_points",
    "goal='maximize', or maximize(...)": "direction mode directions sense",
    "listeners": "callback callbacks verbose_callback",
    "store": "storage database db path",
    "name": "study_name experiment_name",
    "constraints": "constraint outcome_constraints constraints_func",
    "progress": "verbose disp show_progress_bar show_progressbar",
    "stop": "early_stopping stopper termination tol",
    "eval_timeout": "trial_timeout max_trial_seconds",
    "noisy=True": "noise stochastic deterministic",
    "repeats": "n_repeats num_repeats replicates",
}
_NAMES = {
    "Float(low, high)": "Uniform Real Range RealParameter FloatDistribution UniformFloatHyperparameter uniform Scalar",
    "Float(low, high, log=True)": "LogUniform loguniform Log",
    "Integer(low, high)": "Int IntDistribution UniformIntegerHyperparameter randint TransitionChoice",
    "Choice(options)": "Categorical CategoricalDistribution CategoricalHyperparameter ChoiceParameter choice",
    "Boolean()": "Bool",
    "Space": "ConfigurationSpace SearchSpace Parametrization Instrumentation hp",
    "Study": "create_study Client AxClient Tuner Optimizer Experiment",
    "load": "load_study open_study",
    "minimize": "fmin optimize run tune differential_evolution dual_annealing gp_minimize",
}


def keyword_here(word: str) -> str | None:
    """What a keyword of another package is called here."""
    return _find(word, _KEYWORDS)


def name_here(word: str) -> str | None:
    """What a name of another package is called here."""
    return _find(word, _NAMES)


def _find(word: str, table: dict[str, str]) -> str | None:
    return next((here for here, others in table.items() if word in others.split()), None)
