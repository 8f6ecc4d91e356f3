# Sourced by the scripts beside it: sets SQUEEZEFLOW to the command that reaches the running system.
# In this order: the container of docker-compose.yml, the virtual environment of `make run`, the PATH.
if command -v docker >/dev/null 2>&1 &&
    [ "$(docker inspect --format '{{.State.Running}}' aggr-server 2>/dev/null)" = true ]; then
    SQUEEZEFLOW=(docker exec aggr-server squeezeflow)
elif [ -x .venv/bin/squeezeflow ]; then
    SQUEEZEFLOW=(.venv/bin/squeezeflow)
elif command -v squeezeflow >/dev/null 2>&1; then
    SQUEEZEFLOW=(squeezeflow)
else
    echo "squeezeflow is not installed here and no container aggr-server is running:" \
        "run 'make run' or 'docker-compose up -d' first" >&2
    exit 2
fi
