"""A demo node: starts the binary, reads its tour, calls its API as the tests' second opinion."""

import json
import os
import re
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path


class Node:
    """What the tour tells: where, who, and a few cards."""

    def __init__(self, binary):
        self.process = None
        self.url = os.environ.get("DESK_URL")
        if self.url:
            tour = Path(os.environ["DESK_TOUR"]).read_text()
        else:
            tour = self._start(binary)
        client = re.search(r"HOTEL=\$\(token ([^:\s]+):([^)\s]+)", tour)
        station = re.search(r"STATION=\$\(token ([^:\s]+):([^)\s]+)", tour)
        self.hotel, self.station = client.groups(), station.groups()
        cards = re.findall(r'"id_number":"(\w+)","card_valid_from":"([\d-]+)"', tour)
        self.unlisted, self.listed, self.newer, self.to_report = cards[:4]

    def _start(self, binary):
        command = [binary, "serve", "--demo", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]
        log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("API reference"):
                break
        tour = "".join(lines)
        found = re.search(r"API reference: (http://\S+?)/docs/", tour)
        if not found:
            log.seek(0)
            raise SystemExit(f"{binary} did not start a demo: {tour}{log.read()}")
        self.url = found.group(1)
        return tour

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(20)

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
