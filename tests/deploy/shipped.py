"""The files of deploy/ with other places: free ports, a directory of the test's own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import trustme

from tests.processes import ROOT, free_port, is_open, missing, wait_until

DEPLOY = ROOT / "deploy"
NAME = "hub.example.org"


def program(name: str) -> str:
    """A server program, which Debian keeps off a person's path."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        missing(name)
    return str(found)


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """`text` with each of the first in place of each second; all must be there."""
    for old, new in pairs:
        assert old in text, f"{old!r} is not in the file any more"
        text = text.replace(old, new)
    return text


class Place:
    """A directory with a certificate of an authority of the test's own."""

    def __init__(self) -> None:
        # A unix socket's address has 107 bytes at most: not below tmp_path.
        self.directory = Path(tempfile.mkdtemp(prefix="telemetry-deploy-"))
        self.authority = trustme.CA()
        leaf = self.authority.issue_cert(NAME, "localhost", "127.0.0.1")
        self.chain = self.directory / "fullchain.pem"
        self.key = self.directory / "privkey.pem"
        self.both = self.directory / "both.pem"
        leaf.cert_chain_pems[0].write_to_path(str(self.chain))
        leaf.private_key_pem.write_to_path(str(self.key))
        leaf.private_key_and_cert_chain_pem.write_to_path(str(self.both))
        self.http, self.https, self.acme = free_port(), free_port(), free_port()

    def nginx(self, sockets: Sequence[str], name: str = "nginx.conf") -> Path:
        """The shipped configuration with these upstream sockets or addresses."""
        text = (DEPLOY / name).read_text("utf-8")
        owner = re.search(r"^user \S+;$", text, re.MULTILINE)
        assert owner is not None
        text = replaced(
            text,
            # As the test's own user; root's children would lose their rights.
            (owner[0], "user root;" if os.geteuid() == 0 else ""),
            ("/run/nginx.pid", str(self.directory / "nginx.pid")),
            ("/var/log/nginx/error.log", str(self.directory / "error.log")),
            ("worker_processes auto", "worker_processes 1"),
            # What a test's user may open.
            ("worker_rlimit_nofile 200000", "worker_rlimit_nofile 4096"),
            ("worker_connections 65535", "worker_connections 1024"),
            ("listen 80 default_server", f"listen 127.0.0.1:{self.http}"),
            ("    listen [::]:80 default_server backlog=4096;\n", ""),
            ("listen 443 ssl", f"listen 127.0.0.1:{self.https} ssl"),
            ("    listen [::]:443 ssl backlog=4096;\n", ""),
            ("/etc/ssl/telemetry-hub", str(self.directory)),
            ("/var/www/acme", str(self.directory / "acme")),
        )
        servers = re.findall(r"server (?:unix:|hub:)\S+ max_fails=0;", text)
        assert servers
        lines = [f"server {each} max_fails=0;" for each in sockets]
        text = text.replace(servers[0], "\n".join(lines))
        for other in servers[1:]:
            text = text.replace(other, "")
        path = self.directory / name
        path.write_text(text)
        return path

    def haproxy(self, sockets: Sequence[str]) -> Path:
        text = (DEPLOY / "haproxy.cfg").read_text("utf-8")
        servers = re.findall(r"server worker-\d \S+\n", text)
        assert len(servers) == 2
        lines = [f"server worker-{n} {at}\n" for n, at in enumerate(sockets, 1)]
        text = replaced(
            text,
            ("    user haproxy\n", ""),
            ("    group telemetry-hub\n", ""),
            ("127.0.0.1:8402", f"127.0.0.1:{self.acme}"),
            ("maxconn 60000", "maxconn 500"),
            ("/etc/haproxy/telemetry-hub.pem", str(self.both)),
            ("bind :80\n", f"bind 127.0.0.1:{self.http}\n"),
            ("bind :443 ", f"bind 127.0.0.1:{self.https} "),
            (servers[0], "    ".join(lines)),
            (servers[1], "\n"),
        )
        path = self.directory / "haproxy.cfg"
        path.write_text(text)
        return path

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)


@contextlib.contextmanager
def running(place: Place, command: Sequence[str]) -> Iterator[None]:
    """A proxy in the foreground, until the end of the block."""
    with (place.directory / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        wait_until(
            lambda: process.poll() is not None or is_open(place.https),
            "the proxy is up",
        )
        assert process.poll() is None, (place.directory / "log").read_text()
        yield
    finally:
        process.terminate()
        process.wait(30)


def nginx_command(path: Path) -> list[str]:
    return [
        *(program("nginx"), "-c", str(path), "-p", str(path.parent)),
        *("-e", str(path.parent / "first.log")),
    ]
