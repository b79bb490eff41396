# The served application, and (stage `test`) the place where its tests run. Built with BuildKit:
#   docker build --build-arg BASE_IMAGE=... --secret id=ca_bundle,src=/etc/ssl/certs/ca-certificates.crt .
# It holds no model: Slipway puts the layer with /model where the label dev.slipway.model-path is.
#
# The same context makes the same layers: bytecode names no time, rights don't depend on whose checkout it was,
# and files and folders have a time of their own: the builder's cache knows none, and gives back files of another
# build with theirs. (COPY gives a folder that it makes the time of the build, hence /out.)
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS base
ENV LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /srv

FROM base AS dependencies
RUN python3 -m venv --without-pip /opt/app
COPY app/requirements.txt /tmp/app.txt
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=ca_bundle \
    if [ -f /run/secrets/ca_bundle ]; then export PIP_CERT=/run/secrets/ca_bundle; fi \
    && python3 -m pip --python /opt/app/bin/python3 install --disable-pip-version-check --no-compile \
        --require-hashes --requirement /tmp/app.txt \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/app/lib

FROM dependencies AS test
COPY tests/app/requirements.txt /tmp/test.txt
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=ca_bundle \
    if [ -f /run/secrets/ca_bundle ]; then export PIP_CERT=/run/secrets/ca_bundle; fi \
    && python3 -m pip --python /opt/app/bin/python3 install --disable-pip-version-check --no-compile \
        --require-hashes --requirement /tmp/test.txt \
    && install --directory --owner=10001 --group=10001 /reports
COPY --chmod=0755 app app
COPY --chmod=0755 serving serving
COPY --chmod=0755 tests/app tests/app
USER 10001:10001
CMD ["/opt/app/bin/python3", "-m", "pytest", "tests/app", "-p", "no:cacheprovider", "--junitxml=/reports/junit.xml"]

FROM dependencies AS dependencies-layer
RUN mkdir -p /out/opt && cp --archive /opt/app /out/opt && find /out -exec touch --no-dereference --date=@0 {} +

FROM base AS code-layer
COPY app /out/srv/app
COPY serving /out/srv/serving
RUN chmod -R u=rwX,go=rX /out && find /out -exec touch --no-dereference --date=@0 {} +

FROM base AS final
# The C library keeps what threads free, unless blocks from 1 MiB on are mapped: 8 threads at large pictures
# would hold gigabytes.
ENV MODEL_DIR=/model PORT=8000 PROBE_PORT=8001 OPENBLAS_NUM_THREADS=1 MALLOC_MMAP_THRESHOLD_=1048576
EXPOSE 8000 8001
COPY --from=dependencies-layer /out /
LABEL dev.slipway.model-path="/model"
COPY --from=code-layer /out /
USER 10001:10001
CMD ["/opt/app/bin/python3", "-m", "gunicorn", "--config", "python:app.gunicorn_conf"]

LABEL org.opencontainers.image.title="slipway-app"
