# Recipes for a private service on Fly.io and its lab; `just --list` shows them.
set positional-arguments

# show the whole idea on this machine: names, wake, hello, 6PN, autostop
demo *options:
    flycast-lab demo "$@"

# run every test this machine can run; REQUIRE=lab turns a skipped tier into a failure
test *options:
    pytest --numprocesses 2 --dist worksteal "$@"

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

# measured against peers in the same run; nothing is asserted
bench:
    python -m tests.bench.boot
    python -m tests.bench.phases
    python -m tests.lab.bench.proxy
    python -m tests.lab.bench.lab
