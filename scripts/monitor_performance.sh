#!/usr/bin/env bash
# How the running system does, with or without docker: freshness, rates, latency, processor, memory, disk and
# network use, MB per day, and a reason for everything over its limit.
#   ./scripts/monitor_performance.sh [--seconds 10] [--watch]
# Exit status: 0 within the limits, 1 something is not, 2 it cannot be asked.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/_squeezeflow.sh
if [ "${SQUEEZEFLOW[0]}" = docker ] && [[ " $* " != *" --watch "* ]]; then
    docker stats --no-stream aggr-server aggr-influx redis freqtrade || true # the rest is worth having without it
fi
exec "${SQUEEZEFLOW[@]}" monitor "$@"
