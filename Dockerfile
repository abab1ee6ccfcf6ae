# The service: reads the stream, scores it, serves page and API on port 8080. Its state lies in /data.
#   docker run --read-only --cap-drop ALL -v cutwater:/data -p 8080:8080 -e CUTWATER_STREAM=RawStreamData \
#     -e CUTWATER_API_TOKEN="$TOKEN" cutwater
# The page asks for the token. CUTWATER_API_OPEN=true instead of it lets everyone in who reaches the port.

ARG PYTHON=python:3.11-slim

# hadolint ignore=DL3006
FROM ${PYTHON} AS build
ENV PIP_CONSTRAINT=/src/constraints.txt \
    PIP_BUILD_CONSTRAINT=/src/constraints.txt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_USE_PEP517=1
WORKDIR /src
RUN python -m venv /opt/cutwater
# Dependencies first, in a layer of their own: a change of the code does not fetch them again.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > dependencies.txt \
    && /opt/cutwater/bin/pip install --requirement dependencies.txt
COPY README.md LICENSE ./
COPY detector detector
COPY service service
COPY simulator simulator
RUN /opt/cutwater/bin/pip install --no-deps . \
    && /opt/cutwater/bin/pip uninstall --yes pip \
    && find /opt/cutwater -type d -path '*/numba/tests' -prune -exec rm -r {} +

# hadolint ignore=DL3006
FROM ${PYTHON}
LABEL org.opencontainers.image.title="Cutwater" \
      org.opencontainers.image.description="Anomaly detection on live streams" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/cutwater/cutwater"
RUN useradd --uid 10001 --home-dir /data --no-create-home cutwater \
    && install --directory --owner cutwater /data /var/cache/numba
COPY --from=build /opt/cutwater /opt/cutwater

# The forest is compiled with the image, not at the first reading, and so for one kind of processor: any with AVX2, or
# what --build-arg CPU=generic (for arm64) names. It is the same on all machines of a fleet, and so are the scores.
# A container that is told another NUMBA_CPU_NAME compiles at its start.
ARG CPU=x86-64-v3
ENV PATH=/opt/cutwater/bin:${PATH} \
    NUMBA_CACHE_DIR=/var/cache/numba \
    NUMBA_CPU_NAME=${CPU} \
    NUMBA_CPU_FEATURES="" \
    CUTWATER_DATA_DIR=/data \
    CUTWATER_HOST=0.0.0.0 \
    CUTWATER_PORT=8080
USER 10001
# What "python -m detector" is told to compile; all that there is by default.
ARG KERNELS=all
RUN python -m detector "${KERNELS}"
# numba wants its folder writable even to read from it: as a volume it is, filled from the image, on a read-only root.
VOLUME ["/data", "/var/cache/numba"]

WORKDIR /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-c", \
    "import os, ssl, urllib.request; s = 's' if os.environ.get('CUTWATER_TLS_CERTIFICATE') else ''; urllib.request.urlopen(f'http{s}://127.0.0.1:{os.environ[\"CUTWATER_PORT\"]}/health', timeout=4, context=ssl._create_unverified_context() if s else None)"]
ENTRYPOINT ["cutwater"]
CMD ["run"]
