# One image for every role: `docker run kinitro:local api`, `scheduler`, `projector`, `executor`.
FROM python:3.12-slim-bookworm

# Software rendering for the policies' cameras; nothing else of the system is needed.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libosmesa6 \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md kinitro.py ./
COPY events events
COPY sim sim
COPY producers producers
COPY consumers consumers
COPY projectors projectors
COPY api api
# /data is what KINITRO_HOME names: a volume put there the first time is the user's, too.
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
 && rm -rf /app \
 && useradd --no-create-home --home-dir /data --uid 10001 kinitro \
 && install -d -m 700 -o kinitro -g kinitro /data

USER kinitro
# HOME is where libraries keep what they have fetched; the root may be read-only.
ENV KINITRO_HOME=/data HOME=/data MUJOCO_GL=osmesa PYTHONUNBUFFERED=1
WORKDIR /data
ENTRYPOINT ["kinitro"]
CMD ["--help"]
