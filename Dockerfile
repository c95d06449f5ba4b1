# One image for every role: `docker run kinitro api`, `scheduler`, `projector`, `executor`.
FROM python:3.12-slim-bookworm

# Software rendering for the policies' cameras; nothing else of the system is needed.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libosmesa6 \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY requirements.lock pyproject.toml README.md ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
 && useradd --create-home --uid 10001 kinitro \
 && install -d -o kinitro -g kinitro /data

USER kinitro
ENV KINITRO_HOME=/data MUJOCO_GL=osmesa PYTHONUNBUFFERED=1
VOLUME /data
WORKDIR /data
ENTRYPOINT ["kinitro"]
CMD ["--help"]
