"""One node with a data folder of its own, its organizations and clients made by the command line, as an operator makes them."""

import json
import os
import subprocess
import urllib.parse
import urllib.request


class Node:
    """Nothing of the environment reaches it but the path: a store that a variable names would be used, and filled."""

    def __init__(self, binary, folder):
        self.binary, self.data, self.log_file = binary, folder / "data", folder / "node.log"
        self.environment = {"PATH": os.environ.get("PATH", ""), "LOSTCARD_DRAIN_SECONDS": "0"}
        self.process, self.url = None, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def organization(self, kind):
        return self._create("organization", "--name", kind, "--kind", kind, "--region", "110105")["organization_id"]

    def client(self, organization, scope, *further):
        made = self._create("client", "--organization", organization, "--scope", scope, *further)
        return {name: made[name] for name in ("client_id", "client_secret")}

    def start(self):
        """Waits until it is ready: it says where it listens only then."""
        command = [self.binary, "serve", "--data", self.data, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=self.environment)
        line = self.process.stdout.readline()
        if "http://" not in line:
            raise SystemExit(f"{self.binary} did not serve: {line}{self.log()}")
        self.url = "http://" + line.split("http://")[1].strip()

    def report(self, client, body):
        form = urllib.parse.urlencode({"grant_type": "client_credentials", **client}).encode()
        token = self._post("/oauth2/token", form, "application/x-www-form-urlencoded")["access_token"]
        self._post("/v1/loss-reports", json.dumps(body).encode(), "application/json", {"Authorization": f"Bearer {token}"})

    def log(self):
        return self.log_file.read_text()

    def _create(self, what, *arguments):
        command = [self.binary, what, "create", "--data", self.data, *arguments, "--json"]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=self.environment).stdout)

    def _post(self, path, body, kind, headers=None):
        with urllib.request.urlopen(urllib.request.Request(self.url + path, body, {"Content-Type": kind, **(headers or {})}), timeout=20) as response:
            return json.load(response)
