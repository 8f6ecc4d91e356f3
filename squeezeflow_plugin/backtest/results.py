"""FreqTrade's own statistics and result file, its tables by tier.

Each trade's enter tag names its score and second, so no two are alike, and a table by enter tag would have a
row a trade (and take longer than the run). For the statistics the tag is the tier; in the list of trades,
which FreqUI shows, it is the whole tag again.
"""

from __future__ import annotations

from contextlib import nullcontext

from freqtrade.data.metrics import combined_dataframes_with_rel_mean
from freqtrade.optimize.backtesting import Backtesting
from freqtrade.optimize.optimize_reports import generate_backtest_stats, store_backtest_results
from freqtrade.util import dt_now

from squeezeflow_plugin.phases.sizing import tier_of
from squeezeflow_plugin.phases.tags import parse_tag


def run_by_tier(run: Backtesting) -> None:
    """Run the one strategy of ``run``, which has its ``results`` then, and store them if wanted."""
    (strategy,) = run.strategylist
    name: str = strategy.get_strategy_name()
    with run.progress or nullcontext():
        data, timerange = run.load_bt_data()
        run.load_prior_backtest()
        first, last = run.backtest_one_strategy(strategy, data, timerange)
    content = run.all_bt_content[name]
    trades = content["results"]
    tags = trades["enter_tag"].tolist()
    content["results"] = trades.assign(enter_tag=[_tier(tag) for tag in tags])
    run.results = generate_backtest_stats(data, run.all_bt_content, min_date=first, max_date=last)
    for trade, tag in zip(run.results["strategy"][name]["trades"], tags, strict=True):
        trade["enter_tag"] = tag
    if run.config.get("export", "none") != "none":
        store_backtest_results(
            run.config,
            run.results,
            dt_now().strftime("%Y-%m-%d_%H-%M-%S"),
            market_change_data=combined_dataframes_with_rel_mean(data, first, last),
            wallet_summary={name: content["wallet_summary"]},
            strategy_files={name: strategy.__file__},
        )


def _tier(text: str | None) -> str:
    tag = parse_tag(text)
    return (text or "") if tag is None else tier_of(tag.score).name
