"""Every error this project raises on purpose, drawn as one tree.

Each message says what happened, where (file, line or field), which value was
met and what happens next. Anything that is not in this tree is a bug and is
left to travel up.

    SqueezeFlowError
      SettingsError            a setting is unknown, missing or out of range
      ParameterError           a method parameter is out of range
      FrameError               a table handed to the public functions is not usable
      FeedError
        FeedProtocolError      one frame cannot be read; it is counted, the connection stays
        FeedConnectionError    the exchange cannot be reached or closed the socket
          RateLimitedError     the exchange wants fewer requests, and says for how long
        UnknownInstrumentError a market is not known; it is left out and named
      JournalError
        JournalCorruptError    a segment fails its checksum; intact records are kept
      StoreError
        StoreCorruptError      the store cannot be read; nothing is written over it
        StoreConflictError     a closing record differs from the one already stored
        StoreEmptyError        the asked span holds no data
        ImportFileError        a file to import cannot be used; what was imported of it stays
        StoreUnavailableError  the database cannot be reached or refuses
          StoreLostError       it acknowledged what it does not hold
        StoreMissingError      the database or a part of it is not there
        StoreIncompleteError   it lacks what a record announces, or cannot tell
      BusError                 the bus cannot be reached or refuses; the store has everything
        BusGapError            the stream does not go on where the reader stands
        BusConflictError       the stream holds another record of that second
      EngineError              the scoring was fed something it cannot score
      SimulatorError           the simulated market cannot be set up
      BacktestError            FreqTrade refuses a backtest
      ProcessError             a child process died or a port is taken
      UnsupportedFreqtradeError the installed FreqTrade is not one this was checked with

>>> raise_for = SettingsError("min_score must be in [0, 10], was 12.5")
>>> isinstance(raise_for, SqueezeFlowError)
True
"""

from __future__ import annotations


class SqueezeFlowError(Exception):
    """Root of the tree; catching it catches only what was raised on purpose."""


class SettingsError(SqueezeFlowError):
    """A setting is unknown, missing or out of range. The program does not start."""


class ParameterError(SqueezeFlowError, ValueError):
    """A parameter of the method is out of range. Nothing is scored."""


class FrameError(SqueezeFlowError, ValueError):
    """A table lacks a column or holds a value that cannot be used. Nothing is computed."""


class FeedError(SqueezeFlowError):
    """Anything that goes wrong between an exchange and a trade."""


class FeedProtocolError(FeedError):
    """The exchange sent a frame we cannot read. It is counted and skipped; the connection stays."""


class FeedConnectionError(FeedError):
    """The exchange cannot be reached or closed the socket. The connection is tried again."""


class RateLimitedError(FeedConnectionError):
    """The exchange answered 429 or 418: too many requests. It is left alone for ``retry_after_s`` seconds."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnknownInstrumentError(FeedError):
    """A market is not in the exchange's metadata. It is left out and named."""


class JournalError(SqueezeFlowError):
    """The trade journal cannot be written or read."""


class JournalCorruptError(JournalError):
    """A journal segment fails its checksum. Records before the damage are kept."""


class StoreError(SqueezeFlowError):
    """The bar store cannot do what was asked."""


class StoreCorruptError(StoreError):
    """The store cannot be read. It is left as it is; nothing is written over it."""


class StoreConflictError(StoreError):
    """A different closing record exists for that collector and second. The stored one stays."""


class StoreEmptyError(StoreError):
    """The asked span holds no data. The message says what exists."""


class StoreUnavailableError(StoreError):
    """A store's server cannot be reached, is too slow or fails. What was to be written is written again."""


class StoreLostError(StoreUnavailableError):
    """A server acknowledged a write and does not hold it. It is written again."""


class StoreMissingError(StoreError):
    """The server lacks the database, policy or measurement asked for. The message says what exists."""


class StoreIncompleteError(StoreError):
    """A store does not hold all that a record announces, or cannot tell it. Nothing is made up for it."""


class ImportFileError(StoreError):
    """A file holds what cannot be imported. What was imported before that place stays."""


class BusError(SqueezeFlowError):
    """The bus cannot be reached or refuses. Nothing is lost: whoever meets this goes to the store."""


class BusGapError(BusError):
    """The stream does not go on where the reader stands. The reader goes to the store."""


class BusConflictError(BusError):
    """The stream holds something else for that second. It stays until the publisher forgets it."""


class EngineError(SqueezeFlowError):
    """Rows do not follow each other or hold values that cannot be scored."""


class SimulatorError(SqueezeFlowError):
    """The simulated market cannot be set up as asked."""


class BacktestError(SqueezeFlowError):
    """FreqTrade refuses a backtest. The message is FreqTrade's."""


class ProcessError(SqueezeFlowError):
    """A child process died or could not start. Everything else is stopped."""


class UnsupportedFreqtradeError(SqueezeFlowError):
    """The installed FreqTrade is not one that the integration was checked with."""
