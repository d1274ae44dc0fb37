"""Claims of the talks on selling training data about items as shares of errors, and about double deviations.

000 is the later talk of Huang, Zhao and Zhong, 001 the earlier one, whose (theta1, theta2) are (beta, alpha). Docstrings name the
claims. Programs here are scipy's, written from the model; only where a test says so is the package's answer held against them.
"""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest
from support.paths import INSTANCES
from support.training_data import HALF, Errors
from support.training_data_programs import (
    EXAMPLES,
    HIGH,
    HIGH_IN_IV,
    LOW_IN_I,
    LOW_IN_II,
    LOW_IN_III,
    LOW_IN_IV,
    PAIRS,
    accuracy,
    error_experiment,
    general_optimum,
    joint_floats,
    reduced_menu,
    revenue_of_two,
    uniform_grid,
)

from optmarket.models.selling_training_data import two_types

HOME = INSTANCES / "selling-training-data"


def test_two_shares_earn_what_all_experiments_earn() -> None:
    """000-04, 000-07: the reduced program with its three rows for each misreport against any experiment."""
    source = random.Random(4)
    for high, low in [*PAIRS[:8], *EXAMPLES[:5]]:
        third = (Fraction(source.randint(0, 10), 40), Fraction(source.randint(0, 10), 40))
        pairs, weights = [high, low, third], [0.5, 0.3, 0.2]
        best = general_optimum(weights, [joint_floats(*pair) for pair in pairs])
        assert reduced_menu(weights, pairs)[0] == pytest.approx(best, abs=1e-9)


def test_a_signal_for_each_pair_of_actions_is_enough_and_the_one_against_own_data_is_not_needed() -> None:
    """000-03, 001-03: twice as many signals earn no more; 001-04: without the one against own data no less."""
    always_1, own, against, always_2 = (0, 0), (0, 1), (1, 0), (1, 1)
    four = [always_1, own, against, always_2]
    for high, low in EXAMPLES:
        joints = [joint_floats(*high), joint_floats(*low)]
        best = general_optimum([0.5, 0.5], joints)
        assert general_optimum([0.5, 0.5], joints, four + four) == pytest.approx(best, abs=1e-9)
        assert general_optimum([0.5, 0.5], joints, [always_1, own, always_2]) == pytest.approx(best, abs=1e-9)
    joints = [joint_floats(*HIGH), joint_floats(*LOW_IN_III)]
    assert general_optimum([0.5, 0.5], joints, [always_1, always_2]) < 13 / 60 - 0.01, "the signal to use own data is needed"


def test_value_and_obedience_are_those_of_best_replies() -> None:
    """000-05, 000-06, 001-02: against acting for the best in the general form; and why alpha + beta is at most 1/2."""
    source = random.Random(5)
    for _ in range(300):
        alpha, beta = Fraction(source.randint(0, 20), 40), Fraction(source.randint(0, 20), 40)
        first, second = Fraction(source.randint(0, 10), 10), Fraction(source.randint(0, 10), 10)
        if alpha + beta > HALF:
            continue
        joint, chances = joint_floats(alpha, beta), error_experiment(first, second)
        left = min(alpha * first + beta * second, first / 2, second / 2)
        assert accuracy(joint, chances) - accuracy(joint, np.ones((2, 1))) == pytest.approx(float(alpha + beta - left), abs=1e-12)
        followed = 1 - float(alpha * first + beta * second)
        obeyed = alpha * first + beta * second <= min(first, second) / 2
        assert obeyed == (followed >= accuracy(joint, chances) - 1e-12)
    assert accuracy(joint_floats(0.4, 0.3), error_experiment(1, 1)) > 1 - min(0.4 + 0.3, 0.5) + 0.1, (
        "own data read the other way round"
    )


def test_what_a_buyer_has_without_the_seller() -> None:
    """001-01: the best at each own signal."""
    source = random.Random(11)
    for _ in range(50):
        alpha, beta = Fraction(source.randint(0, 10), 40), Fraction(source.randint(0, 10), 40)
        assert accuracy(joint_floats(alpha, beta), np.ones((2, 1))) == pytest.approx(float(1 - alpha - beta))
    assert accuracy(joint_floats(0.2, 0.1), np.ones((2, 1))) == pytest.approx(0.7)


def test_which_error_a_share_belongs_to() -> None:
    """001-05 prints pi_i as the chance of the other action's error: pi_1 leaves errors of action 1 in state 2."""
    (beta, alpha), pi_1 = (0.2, 0.1), 0.25  # theta1, theta2
    done = joint_floats(alpha, beta)[:, None, :] * error_experiment(1, pi_1)[:, :, None]  # [state][profile][own signal]
    action = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    wrong = [done[state][action != state].sum() for state in range(2)]
    assert wrong == pytest.approx([alpha, beta * pi_1])


def test_posteriors_and_errors() -> None:
    """001-07, 001-08: the split of equal states, and what complete data are worth; 001-09: with better posteriors."""
    source = random.Random(7)
    for _ in range(50):
        mu1, mu2 = (Fraction(source.randint(51, 99), 100) for _ in range(2))

        def errors(mu1: Fraction, mu2: Fraction) -> tuple[Errors, Errors]:
            often = ((mu2 - HALF) / (mu1 + mu2 - 1), (mu1 - HALF) / (mu1 + mu2 - 1))
            return often, (often[0] * (1 - mu1), often[1] * (1 - mu2))

        often, theta = errors(mu1, mu2)
        assert sum(often) == 1
        assert often[0] * mu1 + often[1] * (1 - mu2) == HALF
        joint = joint_floats(theta[1], theta[0])
        assert accuracy(joint, error_experiment(0, 0)) - accuracy(joint, np.ones((2, 1))) == pytest.approx(float(sum(theta)))
        assert joint[0, 0] / joint[:, 0].sum() == pytest.approx(float(mu1))
        better, fewer = errors(mu1 + Fraction(1, 200), mu2)
        assert fewer[0] < theta[0], "less demand for data on that state"
        assert better[0] < often[0], "and not for the posterior alone: the market shares move, too"
        assert fewer[1] > theta[1]


# Double deviations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("high", "low", "apart"),
    [(HIGH, LOW_IN_I, "9/25"), (HIGH, LOW_IN_II, "1/5"), (HIGH, LOW_IN_III, "17/70"), (HIGH_IN_IV, LOW_IN_IV, "209/730")],
    ids=["I", "II", "III", "IV"],
)
def test_double_deviations_matter_where_a_partial_item_is_sold(high: Errors, low: Errors, apart: str) -> None:
    """000-08 says they always matter."""
    assert revenue_of_two(high, low, drop=False) == pytest.approx(float(Fraction(apart)), abs=1e-9)
    sold_partly = two_types(high, low).region.startswith(("III", "IV"))
    assert (revenue_of_two(high, low, drop=False) > revenue_of_two(high, low) + 1e-6) is sold_partly


def test_double_deviations_matter_on_a_line() -> None:
    """000-08, 20 cells."""
    pairs, weights = uniform_grid(20), [1 / 20] * 20
    assert reduced_menu(weights, pairs)[0] == pytest.approx(0.3225, abs=1e-9)
    assert reduced_menu(weights, pairs, drop=False)[0] == pytest.approx(0.332, abs=1e-9)
