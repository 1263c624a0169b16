# syntax=docker/dockerfile:1
# The service: patients' and staff's HTTP, guardrails, redaction, retrieval. No torch, no model weights in memory.
#   docker build -f docker/api.Dockerfile -t bedside-api .
# A registry or proxy of your own: add --secret id=pip,src=pip.conf (and --build-arg HTTPS_PROXY=...).
FROM python:3.11-slim-bookworm AS build
ENV VENV=/opt/bedside PYTHON=/usr/local/bin/python3 PIP_NO_CACHE_DIR=1
WORKDIR /srv/bedside
COPY pyproject.toml ./
COPY requirements/ requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf requirements/install.sh api
COPY app/ app/
RUN /opt/bedside/bin/python -m pip install -q --no-deps --no-build-isolation -e . \
    && /opt/bedside/bin/python -m compileall -q app

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 bedside \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/bedside --shell /usr/sbin/nologin bedside \
    && install -d -o 10001 -g 10001 -m 0750 /var/lib/bedside /var/lib/bedside/adapters /var/lib/bedside/training
WORKDIR /srv/bedside
COPY --from=build /opt/bedside /opt/bedside
COPY --from=build /srv/bedside/app app/
COPY pyproject.toml alembic.ini ./
COPY migrations/ migrations/
COPY demo/ demo/
COPY --chmod=0755 docker/bedside.sh /usr/local/bin/bedside
ENV PATH=/usr/local/bin:/opt/bedside/bin:$PATH \
    HOME=/var/lib/bedside \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    BEDSIDE_STATE=/var/lib/bedside \
    BEDSIDE_HOST=0.0.0.0 \
    BEDSIDE_PORT=8080
USER 10001:10001
EXPOSE 8080
CMD ["bedside", "serve"]
