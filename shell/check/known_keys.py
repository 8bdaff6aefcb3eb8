"""The keys of fly.toml by section, entries of arrays and named checks alike.

Source: the struct tags of flyctl's configuration (August 2026), with the older names that it still turns into today's.
"""

from __future__ import annotations

_TIMES = {"interval", "timeout", "grace_period"}
_HTTP_CHECK = _TIMES | {"method", "path", "protocol", "tls_skip_verify", "tls_server_name", "headers"}
_MACHINE_CHECK = {"command", "image", "entrypoint", "kill_signal", "kill_timeout"}
_CONCURRENCY = {"type", "soft_limit", "hard_limit"}
_TLS_OPTIONS = {"alpn", "versions", "default_self_signed"}
_HTTP_OPTIONS = {"compress", "response", "h2_backend", "idle_timeout", "headers_read_timeout", "replay_cache"}
_RESPONSE = {"headers", "pristine"}
_REPLAY_CACHE = {"path_prefix", "ttl_seconds", "type", "name", "allow_bypass"}
_SERVICE = {
    "internal_port",
    "auto_stop_machines",
    "auto_start_machines",
    "min_machines_running",
    "processes",
    "concurrency",
    "machine_checks",
}
_VM = {
    "size",
    "memory",
    "cpu_kind",
    "cpus",
    "memory_mb",
    "max_memory_mb",
    "gpus",
    "gpu_kind",
    "host_dedication_id",
    "persist_rootfs",
    "kernel_args",
    "processes",
}
_MOUNT = {
    "source",
    "destination",
    "initial_size",
    "snapshot_retention",
    "scheduled_snapshots",
    "auto_extend_size_threshold",
    "auto_extend_size_increment",
    "auto_extend_size_limit",
    "processes",
}
_METRICS = {"port", "path", "https", "processes"}
_ROOT = {
    "app",
    "primary_region",
    "kill_signal",
    "kill_timeout",
    "swap_size_mb",
    "console_command",
    "experimental",
    "build",
    "deploy",
    "env",
    "processes",
    "mounts",
    "mount",
    "http_service",
    "services",
    "checks",
    "files",
    "host_dedication_id",
    "machine_config",
    "container",
    "machine_checks",
    "restart",
    "vm",
    "compute",
    "computes",
    "statics",
    "metrics",
    "metric",
}
_EXPERIMENTAL = {
    "cmd",
    "entrypoint",
    "exec",
    "auto_rollback",
    "enable_consul",
    "enable_etcd",
    "lazy_load_images",
    "attached",
    "machine_config",
    "kill_timeout",
    "metrics_port",
    "metrics_path",
}
_BUILD = {
    "builder",
    "args",
    "buildpacks",
    "image",
    "settings",
    "builtin",
    "dockerfile",
    "ignorefile",
    "build-target",
    "build_target",
    "compose",
    "compression",
    "compression_level",
}
_DEPLOY = {
    "strategy",
    "max_unavailable",
    "wait_timeout",
    "release_command",
    "release_command_timeout",
    "release_command_vm",
    "seed_command",
}

SECTIONS: dict[str, set[str]] = {
    "": _ROOT,
    "build": _BUILD,
    "build.compose": {"file"},
    "deploy": _DEPLOY,
    "deploy.release_command_vm": _VM,
    "experimental": _EXPERIMENTAL,
    "http_service": _SERVICE | {"force_https", "tls_options", "http_options", "checks"},
    "http_service.checks": _HTTP_CHECK,
    "http_service.concurrency": _CONCURRENCY,
    "http_service.machine_checks": _MACHINE_CHECK,
    "http_service.tls_options": _TLS_OPTIONS,
    "http_service.http_options": _HTTP_OPTIONS,
    "http_service.http_options.response": _RESPONSE,
    "http_service.http_options.replay_cache": _REPLAY_CACHE,
    "services": _SERVICE | {"protocol", "ports", "tcp_checks", "http_checks"},
    "services.ports": {
        "port",
        "start_port",
        "end_port",
        "handlers",
        "force_https",
        "tls_options",
        "http_options",
        "proxy_proto_options",
    },
    "services.ports.tls_options": _TLS_OPTIONS,
    "services.ports.http_options": _HTTP_OPTIONS,
    "services.ports.http_options.response": _RESPONSE,
    "services.ports.http_options.replay_cache": _REPLAY_CACHE,
    "services.ports.proxy_proto_options": {"version"},
    "services.concurrency": _CONCURRENCY,
    "services.tcp_checks": _TIMES,
    "services.http_checks": _HTTP_CHECK,
    "services.machine_checks": _MACHINE_CHECK,
    "machine_checks": _MACHINE_CHECK,
    "checks": set(),
    "checks.*": _HTTP_CHECK | {"port", "type", "processes", "name"},
    "files": {"guest_path", "local_path", "secret_name", "raw_value", "processes"},
    "metrics": _METRICS,
    "metric": _METRICS,
    "mounts": _MOUNT,
    "mount": _MOUNT,
    "restart": {"policy", "retries", "processes"},
    "statics": {"guest_path", "url_prefix", "tigris_bucket", "index_document"},
    "vm": _VM,
    "compute": _VM,
    "computes": _VM,
}
FREE = {"env", "processes", "build.args", "build.settings", "experimental.attached"}  # names of your own
NO_KEYS = {  # read about or made up, with no place in fly.toml at all: what to do instead
    "auto_deploy": "take it out; deploys come from `fly deploy`, or from a workflow of your repository",
    "allowed_public_ports": "take it out; which ports are open is said by [[services.ports]]",
    "script_checks": "take it out; use http_checks, tcp_checks or [checks]",
    "count": "take it out; `fly scale count` sets how many Machines there are",
    "machines": "take it out; sizes belong in [[vm]], and `fly scale count` sets how many Machines there are",
    "max_machines_running": "take it out; `fly scale count` sets how many Machines there are",
    "regions": "take it out; primary_region, `fly scale count --region` and `fly machine clone` place Machines",
}
ELSEWHERE_CALLED = {  # what the Machines API and older files call them
    "autostop": "auto_stop_machines",
    "auto_stop": "auto_stop_machines",
    "autostart": "auto_start_machines",
    "auto_start": "auto_start_machines",
    "min_machines": "min_machines_running",
    "max_retries": "retries",
    "environment": "env",
    "memory_size": "memory",
    "ram": "memory",
    "region": "primary_region",
    "app_name": "app",
    "name": "app",
}
