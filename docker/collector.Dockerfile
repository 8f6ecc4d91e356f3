# The collector alone: no FreqTrade, no pandas. The wheel is installed without its dependencies,
# those that the collector imports are named in collector-requirements.txt.
FROM python:3.11-slim-bookworm AS wheel
WORKDIR /build
COPY pyproject.toml setup.cfg README.md LICENSE ./
COPY squeezeflow_plugin squeezeflow_plugin
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.11-slim-bookworm
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY docker/collector-requirements.txt /tmp/
RUN pip install --no-cache-dir --no-deps -r /tmp/collector-requirements.txt
COPY --from=wheel /wheel /wheel
RUN pip install --no-cache-dir --no-deps /wheel/*.whl \
 && groupadd --gid 10001 squeezeflow \
 && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin squeezeflow \
 && mkdir /data && chown 10001:10001 /data
USER 10001:10001
WORKDIR /data
EXPOSE 3000 8090
ENTRYPOINT ["squeezeflow"]
CMD ["collect"]
