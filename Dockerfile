FROM python:3.13-slim AS build
WORKDIR /build
COPY requirements.lock ./
# The image needs no pip of its own: the one of the base installs into the new environment.
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-cache-dir --no-compile --require-hashes -r requirements.lock
COPY private_svc /srv/private_svc
COPY shell /srv/shell
# The probe as one file, which the service hands out at /flycast-probe.pyz.
RUN cd /srv && /venv/bin/python -m shell.archive
# Compiled here, once: a cold start must not compile, and the user below cannot write. Files do not change, so no checks.
RUN python -m compileall -q --invalidation-mode unchecked-hash /venv/lib /srv

FROM python:3.13-slim
# `fly ssh console` needs the shell and /etc/passwd that this base has; the service needs no rights at all.
RUN useradd --uid 10001 --no-create-home --home-dir /srv --shell /bin/bash service
COPY --from=build /venv /venv
COPY --from=build /srv /srv
WORKDIR /srv
ENV PATH=/venv/bin:$PATH
# The base comes without byte code for the standard library: import once as root, and what we use of it is compiled.
RUN python -c "import runpy, concurrent.futures.thread, dns.asyncresolver, private_svc.lifecycle, private_svc.metrics, \
    private_svc.peers, private_svc.web.admin, private_svc.web.mount, private_svc.web.page, private_svc.web.scrape, \
    private_svc.web.status"
USER 10001
EXPOSE 8080 1848
CMD ["python", "-m", "private_svc"]
