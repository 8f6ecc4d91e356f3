# FreqTrade's own image with the plugin. FreqTrade and what it brings stay as they are; added is only what the
# plugin needs beyond it.
FROM python:3.11-slim-bookworm AS wheel
WORKDIR /build
COPY pyproject.toml setup.cfg README.md LICENSE ./
COPY squeezeflow_plugin squeezeflow_plugin
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM freqtradeorg/freqtrade:2026.9
COPY docker/freqtrade-requirements.txt /tmp/
RUN pip install --user --no-cache-dir -r /tmp/freqtrade-requirements.txt
COPY --from=wheel /wheel /tmp/wheel
RUN pip install --user --no-cache-dir --no-deps /tmp/wheel/*.whl
USER root
RUN mkdir /freqtrade/state && chown 1000:1000 /freqtrade/state
USER ftuser
