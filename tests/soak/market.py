"""The simulated exchanges as a process, with more late trades than usual.

Arguments: seed, truth file, state file, assets.
"""

from __future__ import annotations

import sys
from pathlib import Path

from squeezeflow_plugin.simulator.run import SimulatorOptions, run_simulator

LATE_SHARE = 0.01


def main() -> int:
    """Serve until SIGTERM."""
    seed, truth, state_file, *assets = sys.argv[1:]
    return run_simulator(
        SimulatorOptions(
            seed=int(seed),
            assets=tuple(assets),
            truth=Path(truth),
            state_file=Path(state_file),
            late_share=LATE_SHARE,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
