"""Several collectors of one set of markets: what each of them has for itself.

A shard takes the markets whose names fall to it (``selection.in_shard``). Shards of one machine write one
store, each under a collector name of its own, and have journals, positions and ports of their own; the bot
waits for all of them (``SQUEEZEFLOW_COLLECTORS=main-1of2,main-2of2``). On several machines each writes its
own store and ships it to one InfluxDB, where the bot reads (``SQUEEZEFLOW_STORE=influx``).
"""

from __future__ import annotations

from dataclasses import replace

from squeezeflow_plugin.settings import Settings


def sharded(settings: Settings) -> Settings:
    """The settings of one collector among several; unchanged where it is the only one.

    Its ports are those that are set plus its number less one; 0 stays off.

    >>> shard = sharded(Settings(shard="2/3"))
    >>> shard.collector, shard.api_port, shard.health_port
    ('main-2of3', 3001, 8091)
    """
    part, parts = settings.shard_parts
    if parts == 1:
        return settings
    return replace(
        settings,
        collector=settings.collector + settings.shard_suffix,
        api_port=settings.api_port and settings.api_port + part - 1,
        health_port=settings.health_port and settings.health_port + part - 1,
    )


def ships(settings: Settings, collector: str) -> bool:
    """Whether this collector ships the records of that one to InfluxDB.

    Each shard ships its own, and the first what is no shard's:

    >>> first, second = (sharded(Settings(shard=f"{part}/2")) for part in (1, 2))
    >>> [ships(second, name) for name in ("main-1of2", "main-2of2", "import")]
    [False, True, False]
    >>> [ships(first, name) for name in ("main-1of2", "main-2of2", "import")]
    [True, False, True]
    """
    part, parts = settings.shard_parts
    if parts == 1 or collector == settings.collector:
        return True
    name = settings.collector.removesuffix(settings.shard_suffix)
    return part == 1 and collector not in {f"{name}-{each}of{parts}" for each in range(1, parts + 1)}
