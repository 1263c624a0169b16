# syntax=docker/dockerfile:1
# Training and the gate: `bedside-train ...`. Runs once and ends; it needs no network. The gate starts vLLM and a database.
#   docker build -f docker/training.Dockerfile -t bedside-training .                          (CPU)
#   docker build -f docker/training.Dockerfile -t bedside-training --build-arg LOCK=gpu .     (NVIDIA GPU)
# A registry or proxy of your own: add --secret id=pip,src=pip.conf (and --build-arg HTTPS_PROXY=...).
FROM python:3.11-slim-bookworm AS build
ARG LOCK=cpu
ENV VENV=/opt/bedside PYTHON=/usr/local/bin/python3 PIP_NO_CACHE_DIR=1
WORKDIR /srv/bedside
COPY pyproject.toml ./
COPY requirements/ requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf requirements/install.sh "$LOCK"
COPY app/ app/
COPY training/ training/
RUN /opt/bedside/bin/python -m pip install -q --no-deps --no-build-isolation -e . \
    && /opt/bedside/bin/python -m compileall -q app training

FROM python:3.11-slim-bookworm
# The gate asks vLLM, whose CPU kernels are linked against libnuma; the slim image lacks it.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libnuma1 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 bedside \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/cache/training --shell /usr/sbin/nologin bedside \
    && install -d -o 10001 -g 10001 -m 0750 /var/cache/training /srv/bedside/var/training
WORKDIR /srv/bedside
COPY --from=build /opt/bedside /opt/bedside
COPY --from=build /srv/bedside/app app/
COPY --from=build /srv/bedside/training training/
COPY pyproject.toml alembic.ini ./
COPY migrations/ migrations/
COPY demo/ demo/
ENV PATH=/opt/bedside/bin:$PATH \
    HOME=/var/cache/training \
    HF_HUB_OFFLINE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
ENTRYPOINT ["bedside-train"]
CMD ["--help"]
