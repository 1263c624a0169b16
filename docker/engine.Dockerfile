# syntax=docker/dockerfile:1
# The engine on NVIDIA GPUs: the official vLLM image, started with the flags of app/engine/command.py.
#   docker build -f docker/engine.Dockerfile -t bedside-engine .
FROM vllm/vllm-openai:v0.32.0
RUN groupadd --gid 10001 bedside \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/cache/engine --shell /usr/sbin/nologin bedside \
    && install -d -o 10001 -g 10001 -m 0750 /var/cache/engine /var/lib/bedside /var/lib/bedside/adapters
WORKDIR /srv/bedside
COPY app/__init__.py app/errors.py app/
COPY app/engine/__init__.py app/engine/command.py app/engine/
COPY docker/start_engine.py docker/
COPY demo/model/ demo/model/
ENV HOME=/var/cache/engine \
    PYTHONPATH=/srv/bedside \
    PYTHONDONTWRITEBYTECODE=1 \
    BEDSIDE_ENGINE_DEVICE=cuda \
    BEDSIDE_BASE_MODEL=/srv/bedside/demo/model
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["python3", "/srv/bedside/docker/start_engine.py"]
CMD []
