from shell.flytoml.autostop import AutoStop
from shell.flytoml.checks import HealthCheck
from shell.flytoml.config import FlyToml, read
from shell.flytoml.document import Document, FlyTomlError, document
from shell.flytoml.lines import Lines
from shell.flytoml.restarts import Restart
from shell.flytoml.services import Concurrency, Port, Service
from shell.flytoml.table import ShapeError, Table

__all__ = [
    "AutoStop",
    "Concurrency",
    "Document",
    "FlyToml",
    "FlyTomlError",
    "HealthCheck",
    "Lines",
    "Port",
    "Restart",
    "Service",
    "ShapeError",
    "Table",
    "document",
    "read",
]
