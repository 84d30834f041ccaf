"""Checks what can be checked of the deployment without a container engine.

The Compose file against its specification, the Dockerfile with hadolint, and that every path, flag
and port that they name exists on the other side. Fails on the first fault.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from compose_spec import PyCompose
from convserve_server.settings import Settings, read_settings

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = ROOT / "deploy" / "Dockerfile.cpu"


class DeploymentError(Exception):
    """Something that a deployment would trip over."""


def check_compose() -> Settings:
    """The Compose file is valid, its paths exist, and the server takes its flags."""
    text = (ROOT / "docker-compose.yml").read_text()
    PyCompose.from_yaml(text).validate()
    services: dict[str, Any] = yaml.safe_load(text)["services"]
    for name, service in services.items():
        build = service.get("build")
        if build and not (ROOT / build["context"] / build["dockerfile"]).is_file():
            raise DeploymentError(f"{name}: {build['dockerfile']} is not a file")
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith(".") and not (ROOT / source).exists():
                raise DeploymentError(f"{name}: {source} does not exist")
        for port in service.get("ports", ()):
            if not port.startswith("127.0.0.1:"):
                raise DeploymentError(f"{name}: {port} is published beyond loopback")
    return read_settings(services["convserve"]["command"], {})


def check_ports(settings: Settings) -> None:
    """Compose, Prometheus and the image agree on the ports."""
    if settings.metrics is None:
        raise DeploymentError("the metrics are off")
    jobs = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())["scrape_configs"]
    targets = [
        target for job in jobs for each in job["static_configs"] for target in each["targets"]
    ]
    if targets != [f"convserve:{settings.metrics.port}"]:
        raise DeploymentError(
            f"Prometheus reads {targets}, the server listens on {settings.metrics}"
        )
    exposed = f"EXPOSE {settings.listen[0].port} {settings.metrics.port}"
    if exposed not in DOCKERFILE.read_text().splitlines():
        raise DeploymentError(f"the Dockerfile has no line {exposed!r}")


def check_dockerfile() -> None:
    """Every COPY names something that exists and that .dockerignore lets through."""
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    for line in DOCKERFILE.read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            source = line.split()[1]
            if not (ROOT / source).exists() or f"!{source}" not in allowed:
                raise DeploymentError(f"{line!r}: {source} is not in the build context")
    hadolint = Path(sys.executable).with_name("hadolint")
    command = str(hadolint) if hadolint.exists() else shutil.which("hadolint")
    if command is None:
        print("deploy: hadolint has no build for this machine; the Dockerfile was not linted")
        return
    subprocess.run([command, str(DOCKERFILE)], check=True)


def main() -> None:
    """Run every check."""
    settings = check_compose()
    check_ports(settings)
    check_dockerfile()
    print("deploy: docker-compose.yml, prometheus.yml and Dockerfile.cpu agree")


if __name__ == "__main__":
    main()
