# Recipes for a private service on Fly.io and its lab; `just --list` shows them.
set positional-arguments

# show the whole idea on this machine: names, wake, hello, 6PN, autostop
demo *options:
    flycast-lab demo "$@"

# the tests this machine can run, but for the long ones; REQUIRE=lab turns a skipped tier into a failure
test *options:
    pytest -m "not long" --numprocesses 4 --dist worksteal "$@"

# the long tests: hundreds of cold starts, thousands of hostile callers
long *options:
    pytest -m long "$@"

# types, style and layout
lint:
    ruff check .
    ruff format --check .
    mypy

# put the code into its one layout
fmt:
    ruff check --fix .
    ruff format .

# lint and test
check: lint test

# the service on this machine, on its default ports
run:
    private-svc

# a program on a shell Machine of a fresh lab, e.g. `just lab curl -s http://private-svc.flycast`
lab *program:
    flycast-lab run -- "$@"

# the probe, e.g. `just probe names private-svc`
probe *arguments:
    flycast-probe "$@"

# the probe as one file that runs on a bare python3; the service hands it out at /flycast-probe.pyz
pyz:
    python -m shell.archive

# make docs/images anew, in a lab with Chromium
pictures:
    python -m tests.browser.pictures

# cold starts in numbers, e.g. `just cold 1000 --tcp`
cold *options:
    python -m tests.e2e.cold_starts "$@"

# measured against peers in the same run; nothing is asserted
bench:
    python -m tests.bench.boot
    python -m tests.bench.phases
    python -m tests.lab.bench.proxy
    python -m tests.lab.bench.nameserver
    python -m tests.lab.bench.lab
