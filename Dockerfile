# The image of the pipeline: `logpipe` in a virtual environment, and nothing that is only needed to build it.
#
# Python is Debian's own package, built with profile-guided and link-time optimisation: the README's figures are measured
# on it. The base image is named by a tag of one release. A release's provenance holds the digest that the tag had when
# it was built (docs/releasing.md).

FROM debian:13.1-slim AS python
# By release of Debian, not by version: an older version is gone from the archive with the next security update.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 tzdata \
    && rm -rf /var/lib/apt/lists/*

FROM python AS build
ENV PATH=/opt/build/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/logpipe
WORKDIR /src

# The dependencies change less often than the code, so they come first and stay in the build cache.
COPY pyproject.toml constraints.txt ./
RUN pip install --constraint constraints.txt hatch-fancy-pypi-readme hatchling
RUN python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*project["dependencies"], *project["optional-dependencies"]["otlp"], sep="\n")' \
        > requirements.txt \
    && pip --python /opt/logpipe/bin/python install --constraint constraints.txt --requirement requirements.txt

COPY README.md LICENSE ./
COPY mappings/ mappings/
COPY ilm/ ilm/
COPY monitoring/kibana/claude-code-bot.ndjson monitoring/kibana/claude-code-bot.ndjson
COPY pipeline/ pipeline/
RUN pip wheel --no-build-isolation --no-deps --wheel-dir /wheels . \
    && pip --python /opt/logpipe/bin/python install --constraint constraints.txt /wheels/*.whl

FROM python
ENV PATH=/opt/logpipe/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin logpipe
COPY --from=build /opt/logpipe /opt/logpipe
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /
EXPOSE 9600
# http.client and not urllib: a proxy in the environment is not asked for this container's own address.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client; c = http.client.HTTPConnection('127.0.0.1', 9600, timeout=2); c.request('GET', '/health/live'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["logpipe"]
CMD ["run"]
