#!/usr/bin/env bash
# Runs a command with servers of its own: with_servers.sh [influx] [redis] -- COMMAND...
# Starts influxd (authentication on) and redis-server on free loopback ports over a temporary folder, each with a
# fresh password, tells the command where they are (INFLUX_*, REDIS_*), and ends both with it, whatever happens.
# A server that INFLUX_URL, REDIS_URL or REDIS_HOST already names is used as it is.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON="${PYTHON:-python3}"
PATH="$PWD/.venv/bin:$PATH"
folder=$(mktemp -d)
pids=()

finish() {
    for pid in "${pids[@]:-}"; do [ -z "$pid" ] || kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]:-}"; do [ -z "$pid" ] || wait "$pid" 2>/dev/null || true; done
    rm -rf "$folder"
}
trap finish EXIT

free_port() { "$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

password() { "$PYTHON" -c 'import secrets; print(secrets.token_hex(18))'; }

fail() { echo "with_servers: $*" >&2; exit 1; }

start_influx() {
    command -v influxd >/dev/null || fail "influxd is not installed; scripts/test_servers.sh installs it"
    local port rpc
    port=$(free_port) rpc=$(free_port)
    export INFLUX_URL="http://127.0.0.1:$port" INFLUX_USER=squeezeflow
    INFLUX_PASSWORD=$(password) && export INFLUX_PASSWORD
    cat >"$folder/influxdb.conf" <<END
reporting-disabled = true
bind-address = "127.0.0.1:$rpc"
[meta]
dir = "$folder/influx/meta"
[data]
dir = "$folder/influx/data"
wal-dir = "$folder/influx/wal"
index-version = "tsi1"
query-log-enabled = false
[monitor]
store-enabled = false
[http]
bind-address = "127.0.0.1:$port"
auth-enabled = true
log-enabled = false
[continuous_queries]
log-enabled = false
END
    # In a session of its own: Ctrl-C is for the command, which still wants to ship its last records.
    setsid influxd -config "$folder/influxdb.conf" >"$folder/influxd.log" 2>&1 &
    pids+=($!)
    local statement="CREATE USER $INFLUX_USER WITH PASSWORD '$INFLUX_PASSWORD' WITH ALL PRIVILEGES"
    for _ in $(seq 100); do
        if printf 'q=%s' "$statement" | "$PYTHON" -c '
import sys, urllib.parse, urllib.request
query = urllib.parse.urlencode(dict([sys.stdin.read().split("=", 1)])).encode()
urllib.request.urlopen(sys.argv[1], query, timeout=5)' "$INFLUX_URL/query" 2>/dev/null; then
            echo "with_servers: influxd at $INFLUX_URL" >&2
            return
        fi
        sleep 0.1
    done
    cat "$folder/influxd.log" >&2
    fail "influxd does not answer"
}

start_redis() {
    command -v redis-server >/dev/null || fail "redis-server is not installed; scripts/test_servers.sh installs it"
    REDIS_PORT=$(free_port) && export REDIS_PORT
    REDIS_PASSWORD=$(password) && export REDIS_PASSWORD
    mkdir -p "$folder/redis"
    # The password comes over stdin: an argument would be seen in the process list.
    setsid redis-server - --bind 127.0.0.1 --port "$REDIS_PORT" --dir "$folder/redis" --save '' --appendonly yes \
        --maxmemory "${REDIS_MAXMEMORY:-2gb}" --loglevel warning >"$folder/redis.log" 2>&1 \
        <<<"requirepass $REDIS_PASSWORD" &
    pids+=($!)
    echo "with_servers: redis-server at 127.0.0.1:$REDIS_PORT" >&2
}

while [ "${1:-}" != -- ]; do
    case "${1:-}" in
        influx) [ -n "${INFLUX_URL:-}" ] || start_influx ;;
        redis) [ -n "${REDIS_URL:-}${REDIS_HOST:-}" ] || start_redis ;;
        *) fail "knows influx and redis, then -- and a command; got '${1:-nothing}'" ;;
    esac
    shift
done
shift
"$@"
