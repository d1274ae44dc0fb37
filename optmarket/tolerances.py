"""Define the tolerances that several modules share, each once, with its unit and its reason.

A tolerance that belongs to a single algorithm, such as the precision of a search over prices, is defined with that algorithm.
"""

from __future__ import annotations

from fractions import Fraction

# --- Accuracy of results ---

# Relative gap (of an equilibrium: gain relative to the scale of payoffs) up to which a solution is called optimal and proved.
TARGET_GAP = 1e-6
# Relative to the payoffs at stake for a type: the largest gain from a deviation that an audit accepts.
AUDIT = 1e-7
# Relative to the larger of two numbers: closed forms and exact cases that differ by at most this agree.
SAME_VALUE = 1e-9

# --- Accuracy required of files ---

# Absolute: probabilities and weights may miss the sum one by this much, as printed decimals do, and are divided by their sum.
SUM_TO_ONE = Fraction(1, 10**9)
# The same for the rows of a mechanism's experiments, because neural networks compute them in single precision.
EXPERIMENT_TO_ONE = 1e-6

# --- Accuracy of the solver ---

# In units of the row: primal and dual feasibility tolerance of HiGHS, and the violation above which a lazy constraint is added.
FEASIBILITY = 1e-9
# In units of the row: a point with a larger violation is not accepted as a solution, whatever the solver reports.
ACCEPTED = 1e-6
# Relative gap that floating-point arithmetic reaches if all payoffs are of one order of magnitude. Above it, exact arithmetic
# continues where the program is small.
FLOATS_REACH = 1e-8

# --- Rounding errors ---

# Relative to the payoff scale: the rounding error of the payoffs. If both bounds are within it of zero, the gap counts as 0.
PAYOFF_ROUNDING = 1e-15
# Relative to the payoffs at stake: the rounding error of sums of floats.
SUM_ROUNDING = 1e-12
# Relative to the payoffs at stake for a type: utilities that differ by less count as equal.
TIE = 1e-12
