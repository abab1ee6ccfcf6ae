"""The container image: built from the Dockerfile and run, by Docker or else by buildah and podman.

Without Docker there may be no registry to fetch the base image from. Then Debian's own Python 3.11, put together by
debootstrap and kept in ``$CUTWATER_TEST_CACHE``, stands in for it; what is built on top is the real thing.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers import cache, unavailable

PROJECT = Path(__file__).parents[2]
RELEASE = "bookworm"  # the Debian whose Python is 3.11
LEFT_OUT = ("./var/cache/apt/*", "./var/lib/apt/lists/*", "./usr/share/doc/*", "./usr/share/locale/*")
# What the machine's pip needs to find packages, if the machine says anything about it.
PIP_FILES = (Path("/etc/pip.conf"), Path("/etc/ssl/certs/ca-certificates.crt"))
HEALTH_SECONDS = 60.0
KERNELS = "--build-arg=KERNELS=1"  # only what is run here; other tests compile the rest, which takes a minute


@dataclass(frozen=True, slots=True)
class Image:
    """An image that was built.

    Attributes:
        command: its engine's, such as ``docker``.
        limits: more arguments to run it with.
    """

    name: str
    command: tuple[str, ...]
    limits: tuple[str, ...] = ()

    @contextmanager
    def container(self, environment: Mapping[str, str]) -> Iterator[Container]:
        """A running container, as locked up as it goes: read-only root, no capabilities, 1 GB, the host's network."""
        variables = [f"--env={name}={value}" for name, value in environment.items()]
        locks = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--memory=1g")
        arguments = ("run", "--detach", "--network=host", *locks, *self.limits, *variables, self.name)
        container = Container(self, _run(*self.command, *arguments).strip())
        try:
            yield container
        finally:
            _run(*self.command, "rm", "--force", "--volumes", container.id)


@dataclass(frozen=True, slots=True)
class Container:
    """A running container."""

    image: Image
    id: str

    def execute(self, *command: str) -> str:
        """What a command in the container prints. Raises RuntimeError if it fails."""
        return _run(*self.image.command, "exec", self.id, *command)

    def inspect(self, part: str) -> Any:
        """A part of the engine's description, such as ``State``."""
        return json.loads(_run(*self.image.command, "inspect", "--format", f"{{{{json .{part}}}}}", self.id))

    def await_healthy(self) -> None:
        """Wait until the image's own health check succeeds. podman's timers need systemd, so there it is run by us."""
        check = (*self.image.command, "healthcheck", "run", self.id)
        deadline = time.monotonic() + HEALTH_SECONDS
        while time.monotonic() < deadline:
            if "podman" in self.image.command:
                healthy = subprocess.run(check, capture_output=True, check=False).returncode == 0
            else:
                healthy = self.inspect("State")["Health"]["Status"] == "healthy"
            if healthy:
                return
            if not self.inspect("State")["Running"]:
                raise RuntimeError(f"the container ended:\n{self.log()}")
            time.sleep(0.2)
        raise TimeoutError(f"not healthy within {HEALTH_SECONDS:.0f} s:\n{self.log()}")

    def stop(self, seconds: int) -> int:
        """SIGTERM, and SIGKILL ``seconds`` later; the exit code, which is 137 after a SIGKILL."""
        _run(*self.image.command, "stop", f"--time={seconds}", self.id)
        return int(self.inspect("State")["ExitCode"])

    def log(self) -> str:
        """What it wrote to stdout and stderr."""
        done = subprocess.run([*self.image.command, "logs", self.id], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr


@functools.cache
def build() -> Image:
    """The image of this checkout. Skips the test where no image can be built."""
    if sys.platform != "linux":
        unavailable("the image test needs Linux: the container uses the host's network")
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        _run("docker", "build", KERNELS, "--tag", "cutwater-test", str(PROJECT))
        return Image("cutwater-test", ("docker",))
    missing = [tool for tool in ("buildah", "podman", "runc", "debootstrap") if not shutil.which(tool)]
    if missing or os.geteuid() != 0:
        unavailable(f"needs Docker, or root with {', '.join(missing) or 'buildah, podman, runc and debootstrap'}")
    return _build_on_stand_in()


def _build_on_stand_in() -> Image:
    warnings.warn(f"no Docker: in the image test Debian {RELEASE} stands in for the base image", stacklevel=2)
    folder = Path(tempfile.mkdtemp(prefix="cutwater-image-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    storage = (f"--root={folder / 'root'}", f"--runroot={folder / 'run'}", "--storage-driver=vfs")
    podman = (
        *("podman", *storage, f"--tmpdir={folder / 'tmp'}"),
        *("--runtime=runc", "--cgroup-manager=cgroupfs", "--events-backend=file"),
    )
    base = "localhost/debian-python:3.11"
    _run(*podman, "import", "--change=ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", str(_root_files()), base)
    mounts = [f"--volume={file}:{file}:ro" for file in PIP_FILES if file.exists()]
    _run(
        *("buildah", *storage, "bud", "--isolation=chroot", "--format=docker", "--pull-never", *mounts),
        *(f"--build-arg=PYTHON={base}", KERNELS, "--tag=localhost/cutwater-test", str(PROJECT)),
    )
    limits = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")  # or runc would ask for more than it may have
    limits += ("--read-only-tmpfs=false",)  # or podman would mount a writable /tmp and more, which Docker does not
    return Image("localhost/cutwater-test", podman, limits)


def _root_files() -> Path:
    """Debian with Python as a tar file, made on first use."""
    target = cache() / f"debian-{RELEASE}-python.tar"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as draft:
            root, tar = Path(draft) / "root", Path(draft) / "root.tar"
            packages = "--include=python3,python3-venv,ca-certificates"
            try:
                _run("debootstrap", "--variant=minbase", packages, RELEASE, str(root))
            except RuntimeError as error:
                unavailable(f"debootstrap cannot make a base image: {error}")
            (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
            _run("tar", "-C", str(root), *(f"--exclude={part}" for part in LEFT_OUT), "-cf", str(tar), ".")
            tar.rename(target)
    return target


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {(done.stdout + done.stderr).strip()[-3000:]}")
    return done.stdout
