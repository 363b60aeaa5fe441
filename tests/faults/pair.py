"""Two PostgreSQL servers: a primary, and a standby that has all that is acknowledged.

The primary may be on a machine of its own, whose network can fall silent: a network
namespace, with one wire to the tests'.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.databases import POSTGRES_BIN
from tests.processes import missing, wait_until

from .system import Postgres

# linux/capability.h: what a network namespace and its devices take.
CAP_NET_ADMIN, CAP_SYS_ADMIN = 12, 21
# For tests of networks alone (RFC 2544): no machine that one wants to reach is there.
NETWORK = "198.18.0.0/15"
# Each program before the server's is replaced by the next: the process is the server.
AS_OWNER = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")


@dataclass
class Standing(Postgres):
    """One of the two; `machine` is how to run a program where it is."""

    host: str = "127.0.0.1"
    machine: Sequence[str] = ()

    def url(self, name: str = "postgres") -> str:
        return super().url(name).replace("127.0.0.1", self.host)

    def make(self) -> None:
        super().make()
        with (self.cluster / "pg_hba.conf").open("a") as rules:
            for database in ("all", "replication"):
                rules.write(f"host {database} all {NETWORK} scram-sha-256\n")

    @property
    def command(self) -> list[str]:
        there = [*self.machine, *AS_OWNER] if self.machine else []
        return [*there, *super().command, "-h", self.host]

    def start(self) -> None:
        owner = self.owner
        if self.machine:
            # Root alone comes there; it is the owner's from then on.
            self.owner = {}
        try:
            super().start()
        finally:
            self.owner = owner

    def run(self, program: str, *arguments: str) -> None:
        """One of PostgreSQL's own programs, as the user that it runs as."""
        subprocess.run(
            [str(self.programs / program), *arguments],
            cwd=self.directory,
            env={**os.environ, "PGPASSWORD": self.password},
            check=True,
            capture_output=True,
            **self.owner,
        )

    def promote(self) -> None:
        """What a cluster's manager does when the primary is gone."""
        self.run("pg_ctl", "promote", "-w", "-D", str(self.cluster))


@dataclass
class Pair:
    primary: Standing
    standby: Standing

    @property
    def url(self) -> str:
        """Of whichever is the primary."""
        hosts = ",".join(
            f"{each.host}:{each.port}" for each in (self.primary, self.standby)
        )
        own = f"hub:{self.primary.password}@{hosts}"
        return f"postgresql://{own}/postgres?target_session_attrs=read-write"


@contextlib.contextmanager
def pair(host: str = "127.0.0.1", machine: Sequence[str] = ()) -> Iterator[Pair]:
    """Both run; a commit on the primary is through when the standby has it."""
    if not POSTGRES_BIN:
        missing("postgresql")
    with contextlib.ExitStack() as stack:

        def new() -> Standing:
            # The unix socket's path has a limit of 107 bytes: not below tmp_path.
            directory = Path(tempfile.mkdtemp(prefix="telemetry-pg-"))
            server = Standing(POSTGRES_BIN[0], directory)
            stack.callback(server.end)
            return server

        made = Pair(new(), new())
        made.primary.host, made.primary.machine = host, machine
        made.primary.make()
        made.primary.start()
        made.standby.password = made.primary.password
        made.standby.run(
            *("pg_basebackup", "-R", "-D", str(made.standby.cluster), "-c", "fast"),
            *("-h", host, "-p", str(made.primary.port), "-U", "hub"),
        )
        made.standby.start()
        _make_synchronous(made.primary)
        yield made


def _make_synchronous(primary: Standing) -> None:
    import psycopg  # Only machines with PostgreSQL need it.

    with psycopg.connect(primary.url(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        connection.execute("SELECT pg_reload_conf()")
        wait_until(
            lambda: bool(
                connection.execute(
                    "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
                ).fetchone()
            ),
            "the standby is synchronous",
        )


@dataclass
class Machine:
    """A network of its own behind one wire. `run` is how to run a program there."""

    address: str
    run: Sequence[str]
    _here: str

    def fall_silent(self) -> None:
        """Nothing comes from it any more, not even that nothing comes."""
        subprocess.run(
            [*self.run, "ip", "route", "add", "blackhole", self._here], check=True
        )


@contextlib.contextmanager
def machine() -> Iterator[Machine]:
    """Skips where no network can be made: not as root, and in most containers."""
    for capability in (CAP_NET_ADMIN, CAP_SYS_ADMIN):
        if not _has(capability):
            pytest.skip("a network of its own takes CAP_NET_ADMIN and CAP_SYS_ADMIN")
    for program in ("ip", "unshare", "nsenter", "setpriv"):
        if shutil.which(program) is None:
            missing(program)
    with subprocess.Popen(["unshare", "--net", "sleep", "infinity"]) as holder:
        try:
            yield _wired(holder.pid)
        finally:
            # Its end of the wire goes with it, and so does ours.
            holder.kill()


def _wired(pid: int) -> Machine:
    ours = Path("/proc/self/ns/net").readlink()
    wait_until(
        lambda: Path(f"/proc/{pid}/ns/net").readlink() != ours, "it has its network"
    )
    inside = ("nsenter", f"--net=/proc/{pid}/ns/net")
    name = f"tm{secrets.token_hex(4)}"
    # One of 32,768 small networks, for there may be several runs on a machine.
    number = secrets.randbelow(32_768) * 4
    here, there = (
        f"198.{18 + (number + host) // 65_536}.{(number + host) // 256 % 256}"
        f".{(number + host) % 256}"
        for host in (1, 2)
    )
    wire = ["ip", "link", "add", name, "type", "veth"]
    wire += ["peer", "name", "wire", "netns", str(pid)]
    made = subprocess.run(wire, capture_output=True, text=True)
    if re.search("Unknown device type|not supported", made.stderr):
        pytest.skip(f"this kernel has no wires: {made.stderr.strip()}")
    assert made.returncode == 0, made.stderr
    for command in (
        ("ip", "address", "add", f"{here}/30", "dev", name),
        ("ip", "link", "set", name, "up"),
        (*inside, "ip", "address", "add", f"{there}/30", "dev", "wire"),
        (*inside, "ip", "link", "set", "wire", "up"),
    ):
        subprocess.run(command, check=True)
    return Machine(there, inside, here)


def _has(capability: int) -> bool:
    status = Path("/proc/self/status").read_text()
    mask = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(mask.split()[1], 16) >> capability & 1)
