"""The step function: everything that one second's inputs, or its recorded features, say."""

from __future__ import annotations

from collections.abc import Callable

from squeezeflow_plugin.compiling import compiled
from squeezeflow_plugin.features import kernels as fk
from squeezeflow_plugin.features import layout as at
from squeezeflow_plugin.features.kernels import FeatureState, kernel_part
from squeezeflow_plugin.phases import layout as to
from squeezeflow_plugin.phases.kernels import parts
from squeezeflow_plugin.phases.kernels.state import FloatArray, IntArray, PhaseState, phase_state, sources
from squeezeflow_plugin.phases.params import Rules


@kernel_part
def _judge_row(
    features: FeatureState,
    state: PhaseState,
    counters: IntArray,
    rules: Rules,
    second: int,
    reference_live: float,
    oi_change: float,
) -> None:
    """Score one second whose features stand in ``state.row``, which then holds everything it says."""
    rows, row = counters[to.ROWS], state.row
    parts.context(row, rules)
    setup = parts.divergence(state, counters, rows, rules)
    parts.reset(state, counters, rows, setup, rules)
    parts.score(row, features.history, second % at.HISTORY_ROWS, setup, oi_change, rules)
    parts.entry(row, counters, second, rows, setup, rules)
    ready = rows >= rules.warmup_rows
    if not ready:
        for column in range(to.CONTEXT, to.READY):
            row[column] = 0.0
    veto = parts.veto(row, ready, reference_live, rules)
    row[to.READY] = 1.0 if ready else 0.0
    row[to.TRADABLE] = 1.0 if veto == 0 else 0.0
    row[to.VETO] = veto


def _compile_scoring(digest: str) -> Callable[..., None]:
    @compiled
    def score_rows(
        flat: FloatArray,
        counters: IntArray,
        rules: Rules,
        second: int,
        inputs: FloatArray,
        columns: IntArray,
        out: FloatArray,
    ) -> None:
        """Score the n seconds from ``second`` on, of each of m assets.

        ``inputs`` float64[m, 12, n]; ``columns`` int64[k] names the outputs wanted (phases/layout.py) and
        ``out`` float64[m, n, k] takes them. ``flat`` float64[m, state_size] and ``counters``
        int64[m, COUNTER_SIZE] are the state and move on by n rows.
        """
        _ = digest
        for asset in range(flat.shape[0]):
            features = fk.feature_state(flat[asset], rules.noise_rows)
            state = phase_state(flat[asset], rules)
            given = inputs[asset]
            for i in range(inputs.shape[2]):
                counters[asset, to.ROWS] += 1
                fk.feature_row(features, second + i, counters[asset, to.ROWS], given, i, state.row)
                live, change = given[at.REFERENCE_LIVE, i], given[at.OI_CHANGE, i]
                _judge_row(features, state, counters[asset], rules, second + i, live, change)
                for k in range(columns.shape[0]):
                    out[asset, i, k] = state.row[columns[k]]

    return score_rows


def _compile_recorded(digest: str) -> Callable[..., None]:
    @compiled
    def score_recorded(
        flat: FloatArray,
        counters: IntArray,
        rules: Rules,
        second: int,
        recorded: FloatArray,
        columns: IntArray,
        out: FloatArray,
    ) -> None:
        """As ``score_rows`` for one asset, with what ``record_rows`` of the features recorded.

        ``recorded`` float64[n, RECORD_WIDTH]; ``columns`` int64[k]; ``out`` float64[n, k]; ``flat``
        float64[state_size] and ``counters`` int64[COUNTER_SIZE] are the state.
        """
        _ = digest
        features = fk.feature_state(flat, rules.noise_rows)
        state = phase_state(flat, rules)
        for i in range(recorded.shape[0]):
            counters[to.ROWS] += 1
            fk.recall_row(features, second + i, counters[to.ROWS], recorded, i, state.row)
            live, change = recorded[i, at.R_REFERENCE_LIVE], recorded[i, at.R_OI_CHANGE]
            _judge_row(features, state, counters, rules, second + i, live, change)
            for k in range(columns.shape[0]):
                out[i, k] = state.row[columns[k]]

    return score_recorded


score_rows = _compile_scoring(sources())
score_recorded = _compile_recorded(sources())
