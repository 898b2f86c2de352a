"""A demo node: starts the binary, reads its tour, calls its API as the tests' second opinion; makes traffic to look at."""

import contextlib
import http.client
import json
import math
import os
import re
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request


class Node:
    """What the tour tells: where, who, and a few cards; and an operator's client."""

    def __init__(self, binary):
        self.binary, self.process, self.listen = binary, None, "127.0.0.1:0"
        # Settings of its next start.
        self.env = {}
        self.folder = tempfile.TemporaryDirectory(prefix="lostcard-browser-")
        tour = self.start()
        client = re.search(r"HOTEL=\$\(token ([^:\s]+):([^)\s]+)", tour)
        station = re.search(r"STATION=\$\(token ([^:\s]+):([^)\s]+)", tour)
        self.hotel, self.station = client.groups(), station.groups()
        cards = re.findall(r'"id_number":"(\w+)","card_valid_from":"([\d-]+)"', tour)
        self.unlisted, self.listed, self.newer, self.to_report = cards[:4]
        self.operator = self.client("admin", "600/60s")

    def start(self):
        """Starts the demo on its folder; once it had a port, on the same. Gives the tour."""
        command = [self.binary, "serve", "--demo", "--data", self.folder.name, "--listen", self.listen, "--metrics-listen", "127.0.0.1:0"]
        log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **self.env})
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("For the operator"):
                break
        tour = "".join(lines)
        found = re.search(r"API reference: (http://(\S+?))/docs/", tour)
        if not found:
            log.seek(0)
            raise SystemExit(f"{self.binary} did not start a demo: {tour}{log.read()}")
        self.url, self.listen = found.groups()
        self.codes = dict(re.findall(r"/(desk|station)#pair=(\S+)", tour))
        return tour

    def client(self, scope, rate):
        """Registers a client of a new organization, beside the running node; gives id and secret."""
        kind = {"admin": "operator", "registry": "registrar", "citizen": "portal", "audit": "auditor"}.get(scope, "certifying")
        create = ["organization", "create", "--name", f"Test {scope}", "--kind", kind, "--region", "110105", "--rate", rate]
        made = self.tell(*create)
        made = self.tell("client", "create", "--organization", made["organization_id"], "--scope", scope, "--rate", rate)
        return made["client_id"], made["client_secret"]

    def tell(self, *command):
        told = subprocess.run([self.binary, "--data", self.folder.name, *command, "--json"], capture_output=True, text=True, check=True)
        return json.loads(told.stdout)

    def quit(self):
        if self.process:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def stop(self):
        self.quit()
        self.folder.cleanup()

    def token(self, of):
        form = f"grant_type=client_credentials&client_id={of[0]}&client_secret={of[1]}"
        return self._send("/oauth2/token", form.encode(), {"Content-Type": "application/x-www-form-urlencoded"})[1]["access_token"]

    def post(self, of, path, body):
        """Status and body."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token(of)}"}
        return self._send(path, json.dumps(body).encode(), headers)

    def _send(self, path, data, headers):
        request = urllib.request.Request(self.url + path, data, headers)
        try:
            with urllib.request.urlopen(request) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


class Sandbox:
    """A sandbox as its first start makes it."""

    def __init__(self, binary):
        self.folder = tempfile.TemporaryDirectory(prefix="lostcard-browser-")
        command = [binary, "serve", "--sandbox", "--data", self.folder.name, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        told = ""
        while "More clients" not in told and (line := self.process.stdout.readline()):
            told += line
        self.url = re.search(r"API: (http://[^\s,]+)", told)[1]
        self.hotel = re.search(r"^  checks +([^:\s]+):(\S+)", told, re.MULTILINE).groups()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.folder.cleanup()


class Traffic:
    """Checks of all verdicts in waves, a client that spends its limit, and one that guesses numbers, until it is stopped."""

    def __init__(self, node):
        self.node, self.ended = node, threading.Event()
        self.busy, self.greedy, self.guessing = (node.client("checks", rate) for rate in ("100000/60s", "20/60s", "100000/60s"))
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def stop(self):
        self.ended.set()
        self.thread.join(10)

    def _run(self):
        node = self.node
        unlisted, listed, newer = ({"id_number": number, "card_valid_from": date} for number, date in (node.unlisted, node.listed, node.newer))
        mixed = [unlisted] * 13 + [listed, newer, newer, {"id_number": node.listed[0]}]
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(node.url).netloc)
        tokens = {of: (node.token(of), time.monotonic()) for of in (self.busy, self.greedy, self.guessing)}
        begun, sent = time.monotonic(), 0
        while not self.ended.is_set():
            spent = time.monotonic() - begun
            for at in range(round(3 + 2 * math.sin(spent / 9))):
                of = self.guessing if (sent + at) % 97 == 0 else self.greedy if (sent + at) % 15 == 0 else self.busy
                if time.monotonic() - tokens[of][1] > 500:
                    tokens[of] = (node.token(of), time.monotonic())
                body = {**mixed[(sent + at) % len(mixed)], "purpose": "lodging"}
                if of == self.guessing:
                    body["id_number"] = "110105194912310021"
                with contextlib.suppress(OSError, http.client.HTTPException):
                    connection.request("POST", "/v1/checks", json.dumps(body), {"Content-Type": "application/json", "Authorization": f"Bearer {tokens[of][0]}"})
                    connection.getresponse().read()
            sent += 5
            self.ended.wait(0.1)
        connection.close()
