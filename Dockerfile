# Serves an atlas from a volume. Build: docker build -t voxel-atlas . ; run it with compose.yaml.
# Written to the rules of docs.docker.com/build/building/best-practices. There was no Docker where it was written:
# tests/test_container.py follows these steps without one.

FROM node:22-bookworm-slim AS page
WORKDIR /build/api/web
COPY api/web/package.json api/web/package-lock.json ./
RUN npm ci --no-fund --no-audit
COPY api/web ./
RUN node build.mjs

FROM python:3.11-slim-bookworm AS packages
# pycortex is built from source.
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
RUN python -m venv /opt/voxel-atlas
COPY build_backend.py constraints.txt pyproject.toml README.md LICENSE ./
COPY voxel_atlas voxel_atlas
COPY schemas schemas
COPY atlas atlas
COPY ingest ingest
COPY viz viz
COPY api api
COPY --from=page /build/api/web/vendor api/web/vendor
RUN /opt/voxel-atlas/bin/pip install --no-cache-dir --constraint constraints.txt '.[cpu]'

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="voxel-atlas" org.opencontainers.image.licenses="MIT"
COPY --from=packages /opt/voxel-atlas /opt/voxel-atlas
# The only folders that are written are the volume and /tmp: the root can be read-only.
RUN useradd --uid 10001 --create-home --home-dir /data --shell /usr/sbin/nologin atlas
ENV PATH=/opt/voxel-atlas/bin:$PATH \
    VOXEL_ATLAS_HOME=/data \
    VOXEL_ATLAS_HOST=0.0.0.0 \
    VOXEL_ATLAS_LOG_LEVEL=info \
    MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CACHE_DIR=/tmp/numba \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001
VOLUME /data
EXPOSE 8765
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8765/healthz', timeout=4)"]
ENTRYPOINT ["voxel-atlas"]
CMD ["serve"]
