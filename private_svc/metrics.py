"""The counters of this service as Prometheus text; imported by the first scrape.

A scrape is answered in a thread while requests change the counters: each mapping is first copied in one step (`list`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from private_svc.ingress import Ingress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prometheus_client.metrics_core import Metric

    from private_svc.activity import Greeted
    from private_svc.context import Context

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "private_svc"


def exposition(context: Context) -> bytes:
    """Return all metrics in the text format, version 0.0.4."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ServiceCollector(context))
    return generate_latest(registry)


class ServiceCollector(Collector):
    """Read the counters at each scrape."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def collect(self) -> Iterable[Metric]:
        """Return every metric."""
        activity, awake = self._context.activity, self._context.awake
        boot = GaugeMetricFamily(f"{PREFIX}_boot_seconds", "From exec to a phase of the boot", labels=["phase"])
        for phase, ms in list(self._context.boot.phases_ms.items()):
            boot.add_metric([phase], ms / 1000)
        yield boot
        yield _counter("requests", "HTTP requests answered", "status", activity.answers)
        yield _counter("hellos", "Raw connections, by how they were received", "outcome", activity.hellos)
        refused = CounterMetricFamily(f"{PREFIX}_refused", "Callers refused for how they came in", labels=["ingress"])
        for ingress in (Ingress.PUBLIC, Ingress.UNKNOWN):
            refused.add_metric([ingress], activity.refused[ingress])
        yield refused
        for name, help_text, value in (
            ("throttled", "Actions refused after too many wrong tokens", activity.throttled),
            ("drained", "Requests answered while leaving", activity.drained),
            ("resumes", "Resumes of this Machine after a suspension", awake.resumes),
        ):
            yield CounterMetricFamily(f"{PREFIX}_{name}", help_text, value=value)
        connections = sum(visit.listener != "metrics" for visit in list(activity.visits))
        yield GaugeMetricFamily(
            f"{PREFIX}_in_flight", "Requests and raw connections that keep this Machine awake", value=activity.working
        )
        yield GaugeMetricFamily(
            f"{PREFIX}_connections", "Open connections, without those of scrapes", value=connections
        )


def _counter(
    name: str,
    help_text: str,
    label: str,
    counts: Mapping[tuple[Ingress, int], int] | Mapping[tuple[Ingress, Greeted], int],
) -> Metric:
    counter = CounterMetricFamily(f"{PREFIX}_{name}", help_text, labels=["ingress", label])
    for (ingress, value), count in list(counts.items()):
        counter.add_metric([ingress, str(value)], count)
    return counter
