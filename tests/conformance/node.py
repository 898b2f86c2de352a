"""Nodes to try the service against: the binary on free loopback ports, in a temporary folder that goes with it."""

import json
import os
import random
import re
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

# A limit must not stop a test that tries every operation many times.
WIDE = "4000000/60s"
# The kind of organization that may have each scope.
KINDS = {"blind": "certifying", "checks": "certifying", "registry": "registrar", "citizen": "portal", "audit": "auditor", "admin": "operator"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def id_number():
    """A well-formed number of nobody: the check character is ISO 7064 MOD 11-2."""
    digits = f"110105{random.randint(1950, 2005)}{random.randint(1, 12):02}{random.randint(1, 28):02}{random.randint(1, 999):03}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return digits + "10X98765432"[sum(int(d) * w for d, w in zip(digits, weights)) % 11]


class Node:
    """A node with an organization of each kind, and two clients of the registrar and of the operator."""

    def __init__(self, binary, environment=None):
        self.binary = os.path.abspath(binary)
        self.folder = tempfile.TemporaryDirectory(prefix="lostcard-conformance-")
        offices = ("--office", "110105", "--office", "310104")
        make = lambda kind: self._make("organization", "create", "--name", kind, "--kind", kind, "--region", "110105", "--rate", WIDE, *offices)
        organizations = {scope: make(kind) for scope, kind in KINDS.items()}
        self.clients = {scope: self._client(organization, [scope]) for scope, organization in organizations.items()}
        self.station, self.hotel = self.clients["registry"], self.clients["checks"]
        self.colleague = self._client(organizations["registry"], ["registry"])
        self.operator = self._client(organizations["admin"], ["admin"])
        self.url = f"http://127.0.0.1:{free_port()}"
        limits = {f"LOSTCARD_LIMITS__{name}": WIDE for name in ("ADDRESS", "PUBLIC")}
        # The walks ask with many dates about few numbers, and with many wrong ones.
        limits["LOSTCARD_LIMITS__NUMBERS_MODE"] = "observe"
        self.log = open(f"{self.folder.name}/log", "w+")
        self.process = subprocess.Popen(
            [self.binary, "serve", "--listen", self.url[7:], "--metrics-listen", "127.0.0.1:0"],
            cwd=self.folder.name, env=os.environ | limits | (environment or {}) | {"LOSTCARD_DRAIN_SECONDS": "0"}, stdout=self.log, stderr=self.log)
        try:
            self._await_ready()
        except BaseException:
            self.stop()
            raise

    def _make(self, *words):
        done = subprocess.run([self.binary, *words, "--json"], cwd=self.folder.name, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def _client(self, organization, scopes):
        words = [word for scope in scopes for word in ("--scope", scope)]
        return self._make("client", "create", "--organization", organization["organization_id"], "--rate", WIDE, *words)

    def _await_ready(self):
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self.url}/health/ready", timeout=5).read()
                return
            except (urllib.error.URLError, ConnectionError):
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        self.log.seek(0)
        raise SystemExit(f"the node did not become ready: {self.log.read()}")

    def token(self, client):
        form = f"grant_type=client_credentials&client_id={client['client_id']}&client_secret={client['client_secret']}"
        with urllib.request.urlopen(f"{self.url}/oauth2/token", form.encode()) as answer:
            return json.load(answer)["access_token"]

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.folder.cleanup()


class Demo:
    """`serve --demo`, and the line of its output that sets the variables of the first check in the README."""

    def __init__(self, binary, environment=None):
        self.process = subprocess.Popen(
            [os.path.abspath(binary), "serve", "--demo", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.export = ""
        for line in self.process.stdout:
            if re.match(r"export URL=", line):
                self.export = line
            if line.startswith("API reference"):
                break
        if not self.export:
            self.stop()
            raise SystemExit("the demo prints no line that begins with `export URL=`")

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
