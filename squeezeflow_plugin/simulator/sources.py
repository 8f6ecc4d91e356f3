"""Where an asset's minutes come from: the generator, or a recorded file behind generated history.

A source hands out minutes in order, each once. The generator's source can go back to a minute that was
handed out already and make it again under a changed script; the trades before the change are the same.
"""

from __future__ import annotations

from typing import Protocol

from squeezeflow_plugin.simulator.episodes import MINUTE_S, Episode, Script
from squeezeflow_plugin.simulator.generator import AssetState, next_minute
from squeezeflow_plugin.simulator.profiles import AssetProfile
from squeezeflow_plugin.simulator.tape import Delays
from squeezeflow_plugin.simulator.trades import AssetMinute

_KEPT_STATES = 4


class AssetSource(Protocol):
    """One asset's trades, minute after minute."""

    profile: AssetProfile
    delays: Delays

    @property
    def second(self) -> int:
        """The start of the next minute."""
        ...

    def advance(self) -> AssetMinute:
        """The next minute."""
        ...

    def release(self, second: int) -> tuple[AssetMinute, ...]:
        """Let the waiting episode break loose at ``second``; returns the minutes that changed thereby."""
        ...

    @property
    def episodes(self) -> tuple[Episode, ...]:
        """The episodes that are planned so far, in order."""
        ...


class GeneratedAsset:
    """An endless generated market; a waiting episode is released in the minute of ``release_by`` at last."""

    def __init__(
        self,
        profile: AssetProfile,
        seed: int,
        state: AssetState,
        script: Script,
        release_by: int | None = None,
        delays: Delays = Delays(),  # noqa: B008 - frozen
    ) -> None:
        self.profile = profile
        self.delays = delays
        self._seed = seed
        self._states = [state]
        self._script = script
        self._release_by = release_by

    @property
    def second(self) -> int:
        return self._states[-1].second

    @property
    def episodes(self) -> tuple[Episode, ...]:
        return self._script.episodes

    def advance(self) -> AssetMinute:
        state = self._states[-1]
        if self._release_by is not None and state.second >= self._release_by:
            self._script = self._script.released(state.second)
        self._script = self._script.followed(self._seed, self.profile.key, state.second + MINUTE_S)
        minute, after = next_minute(self.profile, self._seed, state, self._script)
        self._states = [*self._states[1 - _KEPT_STATES :], after]
        return minute

    def release(self, second: int) -> tuple[AssetMinute, ...]:
        if self._script.waiting is None:
            return ()
        self._script = self._script.released(second)
        end = self.second
        self._states = [state for state in self._states if state.second <= second]
        changed = []
        while self.second < end:
            changed.append(self.advance())
        return tuple(changed)
