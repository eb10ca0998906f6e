# The image of both Deployments. Two bases: one that has pip, and one that has nothing but Python, so that what is shipped
# holds neither a shell nor a package manager. Both must be of one minor version of Python and of one Debian.
ARG BUILD_BASE=docker.io/library/python:3.13-slim-trixie
ARG RUNTIME_BASE=gcr.io/distroless/python3-debian13:nonroot

# Each part has a stage of its own, and so a layer that lasts until that part changes.
FROM ${BUILD_BASE} AS dependencies
WORKDIR /build
COPY requirements.lock requirements-build.lock ./
# Wheels only, so that nothing is compiled and no foreign setup.py runs; hashes, so that what was locked is what is
# installed. Scripts are dropped: their first line names this stage's Python, and the entry point needs none.
RUN python3 -m pip install --no-cache-dir --no-compile --require-hashes --only-binary=:all: \
        --target=/opt/dependencies --requirement=requirements.lock --report=/build/report.json \
    && python3 -m pip install --no-cache-dir --no-compile --require-hashes --only-binary=:all: \
        --target=/build/backend --requirement=requirements-build.lock \
    && rm -rf /opt/dependencies/bin

FROM dependencies AS build
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
RUN PYTHONPATH=/build/backend python3 -m pip wheel --no-deps --no-build-isolation --wheel-dir=dist . \
    && python3 -m pip install --no-cache-dir --no-index --no-deps --no-compile --target=/opt/podfacts dist/*.whl \
    && rm -rf /opt/podfacts/bin

# The filesystem is read-only where this runs, so every start would compile all that it imports, the standard library too
# (neither base ships it compiled). One tree of compiled files beside the sources does it once. They are `unchecked`: an
# image never changes, so no start needs to compare them with their sources.
FROM ${RUNTIME_BASE} AS compiled-dependencies
USER 0
COPY --from=dependencies /opt/dependencies /opt/dependencies
ENV PYTHONPATH=/opt/podfacts:/opt/dependencies PYTHONPYCACHEPREFIX=/opt/compiled
RUN ["python3", "-c", "import compileall, py_compile, sysconfig\nmode = py_compile.PycInvalidationMode.UNCHECKED_HASH\nfor folder in ('/opt/dependencies', sysconfig.get_path('stdlib')): compileall.compile_dir(folder, quiet=2, workers=0, invalidation_mode=mode)"]

FROM compiled-dependencies AS compiled
COPY --from=build /opt/podfacts /opt/podfacts
RUN ["python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "/opt/podfacts"]
# This stage's Python has to run what the other base's Python installed.
RUN ["python3", "-m", "podfacts", "--version"]

# All that is shipped, but for the bill of it.
FROM ${RUNTIME_BASE} AS content
COPY --from=dependencies /opt/dependencies /opt/dependencies
COPY --from=compiled-dependencies /opt/compiled /opt/compiled
COPY --from=build /opt/podfacts /opt/podfacts
COPY --from=compiled /opt/compiled/opt/podfacts /opt/compiled/opt/podfacts

# The bill of materials is made from the files of that, and not from what was asked for. What makes it is not shipped.
FROM dependencies AS bill
COPY requirements-sbom.lock ./
RUN python3 -m pip install --no-cache-dir --no-compile --require-hashes --only-binary=:all: \
        --target=/build/sbom --requirement=requirements-sbom.lock
COPY supply_chain supply_chain
# Both are of the sources, never of the build, so that equal sources make an equal bill.
ARG REVISION=
ARG SOURCE_DATE_EPOCH=
RUN --mount=type=bind,from=content,target=/image PYTHONPATH=/build:/build/sbom \
    python3 -m supply_chain bill --root=/image --report=/build/report.json \
        --revision="${REVISION}" --epoch="${SOURCE_DATE_EPOCH}" --output=/build/podfacts.cdx.json

FROM content
ARG REVISION=
LABEL org.opencontainers.image.title="podfacts" \
      org.opencontainers.image.description="Tells a Kubernetes pod what it needs to know, without handing it credentials." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=bill /build/podfacts.cdx.json /usr/local/share/sbom/podfacts.cdx.json
# SAFEPATH: the working directory is never a place to import from. HOME and USER: a user id that is in no file has neither,
# and libraries ask for them: the Kubernetes client as it loads, kopf as the controller begins to lead.
ENV HOME=/ \
    USER=podfacts \
    PYTHONPATH=/opt/podfacts:/opt/dependencies \
    PYTHONPYCACHEPREFIX=/opt/compiled \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1
# A number, because runAsNonRoot cannot judge a name.
USER 65532:65532
ENTRYPOINT ["python3", "-m", "podfacts"]
