# A worker's container: `kinitro build-eval-env` builds it, `kinitro executor --runtime docker` runs it.
ARG BASE_IMAGE=python:3.12-slim-bookworm
FROM ${BASE_IMAGE}

# Software rendering for the policies' cameras. A base image that has it already needs no network.
RUN ldconfig -p | grep -q libOSMesa || { apt-get update \
 && apt-get install -y --no-install-recommends libosmesa6 \
 && rm -rf /var/lib/apt/lists/*; }

WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

USER 10001:10001
ENV MUJOCO_GL=osmesa PYTHONUNBUFFERED=1
WORKDIR /tmp
ENTRYPOINT ["kinitro"]
CMD ["worker", "--help"]
