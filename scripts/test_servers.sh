#!/usr/bin/env bash
# Makes sure that the tests find the two servers they start themselves: influxd (1.6 or later) and redis-server.
# In this order: what is on PATH; apt-get, as root; the programs out of docker images. Says what it did; fails
# with one sentence where it can do nothing. Chromium, for the tests of pages in a browser, comes from PATH or
# apt-get; without it those are skipped. So do promtool, for the tests of the alert rules, influx (InfluxDB's command
# line) and docker-compose, which needs no docker to read a file.
#
# A server that INFLUX_URL (with INFLUX_USER and INFLUX_PASSWORD of a user who may create databases) or REDIS_URL
# (an empty database) names is used by the tests that need none of their own: the store contract, live reads and
# data of an aggr-server on InfluxDB, the bus contract on Redis. Tests that kill, stall, limit, encrypt or empty
# a server start their own; where its program cannot be had beside a named server, they are skipped.
set -euo pipefail

VENV_BIN="$(dirname "$0")/../.venv/bin" # on PATH while `make test` runs
INFLUX_IMAGE=influxdb:1.8.10
REDIS_IMAGE=redis:7.0.15

have() { command -v "$1" >/dev/null 2>&1; }

say() { echo "test servers: $*"; }

from_apt() { # program package
    have apt-get && [ "$(id -u)" = 0 ] || return 1
    # Nothing is started: the tests run their own on free ports.
    local policy=/usr/sbin/policy-rc.d made=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made=1
    fi
    local done=0
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$2"; } \
        >/dev/null 2>&1 || done=1
    [ -z "$made" ] || rm -f "$policy"
    [ "$done" = 0 ] && have "$1" && say "$1 installed with apt-get (package $2)"
}

from_docker() { # program image path-in-image
    have docker && docker info >/dev/null 2>&1 || return 1
    local container
    container=$(docker create "$2") || return 1
    mkdir -p "$VENV_BIN"
    docker cp --follow-link "$container:$3" "$VENV_BIN/$1" >/dev/null && chmod +x "$VENV_BIN/$1"
    docker rm "$container" >/dev/null
    "$VENV_BIN/$1" "$4" >/dev/null 2>&1 && say "$1 copied out of the image $2"
}

ensure() { # program package image path-in-image version-argument named-server
    if PATH="$VENV_BIN:$PATH" have "$1"; then
        say "$1 is there ($(PATH="$VENV_BIN:$PATH" command -v "$1"))"
        return
    fi
    from_apt "$1" "$2" || from_docker "$1" "$3" "$4" "$5" || {
        if [ -n "$6" ]; then
            say "$1 is not installed: the tests that kill, stall or limit one of their own are skipped"
            return
        fi
        say "$1 is not installed: become root for apt-get, start docker, or put $1 on PATH" >&2
        exit 1
    }
}

beside() { # program package what-is-skipped-without-it
    if have "$1"; then
        say "$1 is there"
    else
        from_apt "$1" "$2" || say "$1 is not installed: $3 skipped"
    fi
}

[ -z "${INFLUX_URL:-}" ] || say "INFLUX_URL: store contract, live reads and aggr-server's data run on that InfluxDB"
[ -z "${REDIS_URL:-}" ] || say "REDIS_URL: the bus contract runs on that Redis"
ensure influxd influxdb "$INFLUX_IMAGE" /usr/bin/influxd version "${INFLUX_URL:-}"
ensure redis-server redis-server "$REDIS_IMAGE" /usr/local/bin/redis-server --version "${REDIS_URL:-}"
if have chromium || have chromium-browser || have google-chrome; then
    say "a browser is there"
else
    from_apt chromium chromium || say "chromium is not installed: the tests of pages in a browser are skipped"
fi
beside promtool prometheus "the tests of the alert rules are"
beside influx influxdb-client "the test of InfluxDB's command line is"
beside docker-compose docker-compose "the test that it reads the compose file is"
