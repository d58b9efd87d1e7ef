"""The protocol of solvers: every algorithm keeps it, whatever it computes."""

import inspect
from dataclasses import fields, is_dataclass
from functools import partial
from types import GeneratorType
from typing import get_type_hints

import numpy as np
import pytest
from conftest import simulate

from bart_pogmdm import Diffusion, Gibbs, Map
from bart_pogmdm.algorithms.diffusion import diffusion
from bart_pogmdm.algorithms.gibbs import gibbs
from bart_pogmdm.algorithms.joint_map import joint_map
from bart_pogmdm.algorithms.problem import Problem
from bart_pogmdm.algorithms.state import State
from bart_pogmdm.physics.cartesian_scan import CartesianScan
from bart_pogmdm.prior.image_scale import ImageScale
from bart_pogmdm.reconstruction.frame import Frame
from bart_pogmdm.reconstruction.options import Options
from bart_pogmdm.reconstruction.rules import Rules
from bart_pogmdm.reconstruction.start import Measured, problem_of

STEPS = 3
LEVELS = Diffusion(num_levels=30, come_closer=0.3)
OPTIONS = {joint_map: Map(iterations=STEPS), gibbs: Gibbs(), diffusion: LEVELS}
DRAWING = (gibbs, diffusion)

every_solver = pytest.mark.parametrize("solver", OPTIONS, ids=lambda solver: solver.__name__)
drawing_solvers = pytest.mark.parametrize("solver", DRAWING, ids=lambda solver: solver.__name__)
one_or_several = pytest.mark.parametrize("coils", [1, 4])


def problem_for(coils, *, known_sens=False):
    """A small Problem in double precision, with sensitivities that are unknown unless there is one coil."""
    kspace, mask, _ = simulate((40, 36), coils)
    sens = np.ones(kspace.shape, complex) if known_sens else None
    measured = Measured.of(CartesianScan(kspace.astype(complex), mask), Frame(1.0), 0.01, None, ImageScale(), Rules(),
                           known_sens=known_sens)
    return problem_of(measured, sens, None, None, Options(maps=1))


def states_of(solver, problem, prior, rngs):
    """The States of a solver, with a generator for each chain if it draws."""
    return solver(problem, prior, OPTIONS[solver], *[rngs] * (solver is not joint_map))


def first_states(solver, problem, prior, chains=2, seed=0):
    """The first States of a solver, with a generator of its own for each chain."""
    rngs = [np.random.default_rng((seed, chain)) for chain in range(chains)]
    return [state for state, _ in zip(states_of(solver, problem, prior, rngs), range(STEPS))]


def arrays_of(value, path="problem"):
    """The arrays that the fields of a record hold, by their paths."""
    if isinstance(value, np.ndarray):
        return {path: value}
    if not is_dataclass(value):
        return {}
    return {name: array for field in fields(value)
            for name, array in arrays_of(getattr(value, field.name), f"{path}.{field.name}").items()}


def assert_same_states(left, right):
    for one, other in zip(left, right, strict=True):
        assert arrays_of(one).keys() == arrays_of(other).keys()
        for name, array in arrays_of(one).items():
            np.testing.assert_array_equal(arrays_of(other)[name], array, err_msg=name)
        assert one.info.sigma == other.info.sigma and one.units == other.units


@every_solver
def test_the_arguments_are_problem_prior_options_and_generators_where_there_are_draws(solver):
    names = ["problem", "prior", "options"] + ["rngs"] * (solver is not joint_map)
    assert list(inspect.signature(solver).parameters) == names
    hints = get_type_hints(solver)
    assert hints["problem"] is Problem and isinstance(OPTIONS[solver], hints["options"])


@every_solver
@one_or_several
def test_a_solver_generates_states(solver, coils, prior):
    problem = problem_for(coils)
    assert isinstance(states_of(solver, problem, prior, [np.random.default_rng(0)] * 2), GeneratorType)
    states, several = first_states(solver, problem, prior), solver is not joint_map
    assert len(states) == STEPS
    for state in states:
        assert isinstance(state, State)
        assert state.image.shape == ((2, 40, 36) if several else (40, 36))
        assert state.sens.shape == ((coils, 2, 40, 36) if several else (coils, 40, 36))
        if coils == 1 or solver is diffusion:  # its sensitivities are smoothed, so no coefficients belong to them
            assert state.coefficients is None
        else:
            maps = problem.sens_model.maps.forward(state.coefficients)
            np.testing.assert_allclose(state.sens, maps, atol=1e-10 * np.abs(maps).max())
        assert {array.dtype for array in arrays_of(state).values()} >= {np.dtype(complex)}
        assert all(np.isfinite(array).all() for array in arrays_of(state).values())


@every_solver
@one_or_several
def test_info_has_noise_level_and_residual(solver, coils, prior):
    states = first_states(solver, problem_for(coils), prior)
    for state in states:
        assert isinstance(state.info.sigma, float) and 0 < state.info.sigma < 1
        assert np.shape(state.info.residual_std) == (() if solver is joint_map else (2, 1, 1))
        assert np.min(state.info.residual_std) > 0 and np.max(state.info.residual_std) < 1
    assert len({state.info.sigma for state in states}) == (STEPS if solver is diffusion else 1)


@every_solver
@one_or_several
def test_a_solver_does_not_change_its_problem(solver, coils, prior):
    problem = problem_for(coils)
    before = {name: array.copy() for name, array in arrays_of(problem).items()}
    sens = "problem.start.maps" if coils == 1 else "problem.start.coefficients"
    assert {"problem.samples", "problem.start.image", sens, "problem.sampling.mask"} <= before.keys()
    assert ("problem.sens_model.samples" in before) == (coils > 1)
    facts = problem.noise_std, problem.units, problem.images, problem.start.info
    first_states(solver, problem, prior)
    after = arrays_of(problem)
    assert after.keys() == before.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array, err_msg=name)
    assert facts == (problem.noise_std, problem.units, problem.images, problem.start.info)


@every_solver
@one_or_several
def test_states_stay_as_they_were_yielded(solver, coils, prior):
    """Later iterations do not write into the arrays of earlier States."""
    problem, copies, states = problem_for(coils), [], []
    rngs = [np.random.default_rng(chain) for chain in range(2)]
    for state, _ in zip(states_of(solver, problem, prior, rngs), range(STEPS)):
        states.append(state)
        copies.append({name: array.copy() for name, array in arrays_of(state).items()})
    for state, copy in zip(states, copies):
        for name, array in arrays_of(state).items():
            np.testing.assert_array_equal(array, copy[name], err_msg=name)


@every_solver
@one_or_several
def test_the_same_generators_give_the_same_states(solver, coils, prior):
    problem = problem_for(coils)
    run = partial(first_states, solver, problem, prior)
    assert_same_states(run(seed=1), run(seed=1))
    differs = any((one.image != other.image).any() for one, other in zip(run(seed=1), run(seed=2)))
    assert differs == (solver in DRAWING)


@drawing_solvers
@one_or_several
def test_a_chain_draws_the_same_whatever_the_number_of_chains(solver, coils, prior):
    problem = problem_for(coils)
    one, two = (first_states(solver, problem, prior, chains) for chains in (1, 2))
    for alone, together in zip(one, two):
        np.testing.assert_allclose(together.image[0], alone.image[0], rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(together.sens[:, 0], alone.sens[:, 0], rtol=1e-6, atol=1e-8)
        assert (together.image[1] != together.image[0]).any()


@every_solver
def test_known_sensitivities_stay(solver, prior):
    problem = problem_for(4, known_sens=True)
    for state in first_states(solver, problem, prior):
        assert state.coefficients is None
        start = problem.start.sens if solver is joint_map else problem.in_chains(2).start.sens
        np.testing.assert_array_equal(state.sens, start)
