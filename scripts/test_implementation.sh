#!/usr/bin/env bash
# Checks the running system end to end, with or without docker, and says why where a part fails:
# collector, freshness, feeds, coverage, 1 s flow, API, Redis, InfluxDB with its retention, the bot.
#   ./scripts/test_implementation.sh [--seconds 5]
# Exit status: 0 whole, 1 a part fails, 2 it cannot be asked. The system's SQUEEZEFLOW_*, REDIS_* and INFLUX_*
# variables are needed where they differ from their defaults; inside the container they are set already.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/_squeezeflow.sh
exec "${SQUEEZEFLOW[@]}" check "$@"
