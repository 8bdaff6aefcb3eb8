# The last stage is the service, so `docker build .` and `fly deploy` make that one; `--target shell`, and
# `fly machine run . --shell --build-target shell`, make a Machine to look around from.

FROM python:3.13-slim AS libraries
COPY requirements.lock /build/
# The image needs no pip of its own: the one of the base installs into the new environment.
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-cache-dir --no-compile --require-hashes -r /build/requirements.lock

# The probe as one file, with what it needs inside.
FROM libraries AS probe
WORKDIR /build
COPY shell ./shell
RUN /venv/bin/python -m shell.archive flycast-probe

# What the service never imports goes, and so do debug information and sources of compiled modules. The rest
# is compiled here, once: a cold start must not compile, and the service's user cannot write. Files do not change, so
# nothing checks them. (DL3008: a stable Debian only mends its packages; a named version is gone with the next mend.)
FROM libraries AS service
# hadolint ignore=DL3008
RUN pip --python /venv/bin/python uninstall --yes rich pygments markdown-it-py mdurl shtab tomlkit \
    && apt-get update && apt-get install --yes --no-install-recommends binutils \
    && find /venv -name '*.so' -exec strip --strip-unneeded {} + \
    && find /venv -regex '.*\.\(pyi\|pyx\|pxd\|pxi\|c\|h\)' -delete
COPY private_svc /srv/private_svc
RUN python -m compileall -q --invalidation-mode unchecked-hash /venv/lib /srv

FROM python:3.13-slim AS shell
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bind9-dnsutils curl iputils-ping netcat-openbsd \
    && rm -rf /var/lib/apt/lists/*
COPY --from=probe /build/flycast-probe /usr/local/bin/

FROM python:3.13-slim
LABEL org.opencontainers.image.title="flycast-private-service" \
      org.opencontainers.image.description="A private service on Fly.io that sleeps, wakes and can prove both" \
      org.opencontainers.image.licenses="MIT"
# `fly ssh console` needs the shell and /etc/passwd that this base has; the service needs no rights at all.
RUN useradd --no-log-init --uid 10001 --no-create-home --home-dir /srv --shell /bin/bash service
COPY --from=service /venv /venv
COPY --from=service /srv /srv
# On the Machine itself, and for whoever downloads it from the service.
COPY --from=probe /build/flycast-probe /srv/flycast-probe.pyz
WORKDIR /srv
ENV PATH=/venv/bin:$PATH
# What the first answer needs comes into one file, which the kernel reads ahead: see private_svc/bundle.py. The base has
# no byte code for the standard library: both programs, as root, compile what they import, the second what comes later.
RUN python -m private_svc.make_bundle \
    && python -c "import concurrent.futures.thread, dns.asyncresolver, private_svc.metrics, private_svc.peers, \
    private_svc.web.mount"
USER 10001
EXPOSE 8080 1848
CMD ["python", "-m", "private_svc"]
