"""What of the lab reads bytes from outside."""

from tests.lab.fuzz import (
    control,
    dockerfile,
    fly_replay,
    image,
    machine_api,
    nameserver,
    proxy_request,
    proxy_response,
    websocket,
)

TARGETS = (
    nameserver.TARGET,
    proxy_request.TARGET,
    proxy_response.TARGET,
    fly_replay.TARGET,
    websocket.TARGET,
    machine_api.TARGET,
    control.TARGET,
    dockerfile.TARGET,
    image.TARGET,
)
