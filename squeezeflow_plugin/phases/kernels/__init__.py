"""Compiled phases: the one step function that scores a second, the loop over it, and the exits.

``score_rows`` is the only way a second is ever scored: the batch gives it many columns, the live
step one, a bank of engines one of each of many assets; ``score_recorded`` is the same with features that
were recorded before. What a row needs of earlier rows is kept in two flat arrays: numbers (sliding
maxima among them, see ``keep_largest``) and counters (row numbers at which something was last seen).

Directions are +1 and -1; arrays with an entry a direction hold +1 first. Comparisons tolerate ``EPS``
except between raw prices, so that a tie falls the same way whatever the order of summation.
"""

from squeezeflow_plugin.phases.kernels.exits import find_exit
from squeezeflow_plugin.phases.kernels.scoring import score_recorded, score_rows
from squeezeflow_plugin.phases.kernels.state import state_size

__all__ = ["find_exit", "score_recorded", "score_rows", "state_size"]
