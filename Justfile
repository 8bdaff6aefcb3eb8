# Recipes for a private service on Fly.io and its lab; `just --list` shows them.
# Those for Fly take the app's name from fly.toml, or `just app=NAME deploy`; `just dry=yes deploy` only says what it would do.
set positional-arguments

app := `sh recipes/app-name`
dry := env('DRY_RUN', '')
export FLY_APP := app
export DRY_RUN := dry

# show the whole idea on this machine: names, wake, hello, 6PN, autostop
[group('here')]
demo *options:
    flycast-lab demo "$@"

# the service on this machine, on its default ports
[group('here')]
run:
    private-svc

# a program on a shell Machine of a fresh lab, e.g. `just lab curl -s http://private-svc.flycast`
[group('here')]
lab *program:
    flycast-lab run -- "$@"

# the probe, e.g. `just probe names private-svc`
[group('here')]
probe *arguments:
    flycast-probe "$@"

# the tests this machine can run, but for the long ones; REQUIRE=lab turns a skipped tier into a failure
[group('work')]
test *options:
    pytest -m "not long" --numprocesses 4 --dist worksteal "$@"

# the long tests: hundreds of cold starts, thousands of hostile callers
[group('work')]
long *options:
    pytest -m long "$@"

# types, style and layout
[group('work')]
lint:
    ruff check .
    ruff format --check .
    mypy

# put the code into its one layout
[group('work')]
fmt:
    ruff check --fix .
    ruff format .

# lint and test
[group('work')]
check: lint test

# the probe as one file that runs on a bare python3; the service hands it out at /flycast-probe.pyz
[group('work')]
pyz:
    python -m shell.archive

# build the image with buildah, podman or docker, and print what each layer weighs
[group('work')]
image *options:
    #!/usr/bin/env bash
    set -euo pipefail
    builder=$(command -v buildah || command -v podman || command -v docker) || {
      echo "just image: expected buildah, podman or docker, got none" >&2
      exit 1
    }
    BUILDAH_LAYERS=true "$builder" build --tag private-svc "$@" .
    python -m lab.image.sizes private-svc

# make docs/images/panel*.png anew, in a lab with Chromium
[group('work')]
pictures:
    python -m tests.browser.pictures

# fuzz everything that reads bytes from outside, e.g. `just fuzz proxy_request --minutes 30`
[group('work')]
fuzz *options:
    python -m tests.fuzz "$@"

# the lab under random faults and load, e.g. `just soak --hours 1`; a printed seed makes it happen again
[group('work')]
soak *options:
    python -m tests.lab.soak "$@"

# cold starts in numbers, e.g. `just cold 1000 --tcp`
[group('work')]
cold *options:
    python -m tests.e2e.cold_starts "$@"

# every claim as a ratio to a peer in the same run, e.g. `just bench --row boot-200 --json now.json`
[group('work')]
bench *options:
    python -m tests.bench "$@"

# the same, kept for comparison and shown in docs/bench.md; some five minutes on a machine that does nothing else
[group('work')]
baseline *options:
    python -m tests.bench --json docs/bench.json --svg docs/images/bench.svg --write docs/bench.md "$@"

# how time and memory grow with numbers, into docs/scaling.md; some ten minutes
[group('work')]
scaling *options:
    python -m tests.lab.scaling --json docs/scaling.json --svg docs/images/scaling.svg --write docs/scaling.md "$@"

# 1. create the app with a private address, and run nothing yet
[group('Fly')]
launch *options:
    @recipes/launch "$@"

# 2. set a new ADMIN_TOKEN and print it
[group('Fly')]
secrets:
    @recipes/secrets

# 3. check fly.toml and the addresses, deploy one Machine, check the addresses again
[group('Fly')]
deploy *options:
    @recipes/deploy "$@"

# 4. why it cannot be reached, from a shell Machine on Fly
[group('Fly')]
doctor *options:
    @recipes/probe-there doctor "$FLY_APP" "$@"

# 5. wait until it sleeps, wake it, time it, from a shell Machine on Fly
[group('Fly')]
wake *options:
    @recipes/probe-there wake "$FLY_APP" "$@"

# list the app's addresses; fails when one is public
[group('Fly')]
ips:
    @recipes/fly ips list -a "$FLY_APP"
    @recipes/only-private

# the app and its Machines
[group('Fly')]
status:
    @recipes/fly status -a "$FLY_APP"

# what the app, its Machines and Fly Proxy say
[group('Fly')]
logs:
    @recipes/fly logs -a "$FLY_APP"

# a shell Machine on the private network, in an app of its own
[group('Fly')]
shell *options:
    @recipes/shell-machine "$@"

# a WireGuard peer for this computer, e.g. `just wireguard my-laptop`
[group('Fly')]
wireguard *name:
    @recipes/wireguard "$@"

# destroy the app; flyctl asks first
[group('Fly')]
destroy:
    @recipes/fly apps destroy "$FLY_APP"
