"""5,000 checks over eight kept connections, and not one may fail: by the JDK's HTTP client, which offers HTTP/2 by default, and through an
nginx with the `Connection "upgrade"` lines that most of its examples have and a keep-alive upstream."""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from node import Node, free_port, id_number

CALLS, CONNECTIONS = 5000, 8
HERE = Path(__file__).resolve().parent
NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream lostcard {{
        server {upstream};
        keepalive {connections};
    }}
    server {{
        listen 127.0.0.1:{port};
        keepalive_requests {calls};
        location / {{
            proxy_pass http://lostcard;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
        }}
    }}
}}
"""


def check():
    return json.dumps({"id_number": id_number(), "card_valid_from": "2016-05-01", "purpose": "lodging"})


def call_many(port, headers, failures):
    """One connection, opened again only where it was closed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    body = check()
    for _ in range(CALLS // CONNECTIONS):
        try:
            connection.request("POST", "/v1/checks", body, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                failures[f"status {answer.status}"] += 1
        except (OSError, http.client.HTTPException) as error:
            failures[repr(error)] += 1
            connection.close()


def by_the_jdk(node, token):
    command = ["java", HERE / "Connections.java", node.url, token, check(), str(CALLS), str(CONNECTIONS)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=300)
    print(f"connections: the JDK's client: {done.stdout.strip()}", flush=True)
    return done.returncode == 0


def await_listening(process, port, folder):
    for _ in range(100):
        try:
            http.client.HTTPConnection("127.0.0.1", port, timeout=5).connect()
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    raise SystemExit(f"nginx does not serve: {(folder / 'error.log').read_text()}")


def through_nginx(node, token):
    folder, port = Path(node.folder.name) / "nginx", free_port()
    folder.mkdir()
    names = {"folder": folder, "upstream": node.url.removeprefix("http://"), "port": port, "connections": CONNECTIONS, "calls": CALLS}
    (folder / "nginx.conf").write_text(NGINX.format(**names))
    process = subprocess.Popen(["nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"])
    failures = Counter()
    # An offer in every other connection: the snippet passes it on.
    offers = [{}, {"Upgrade": "h2c"}]
    try:
        await_listening(process, port, folder)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        threads = [threading.Thread(target=call_many, args=(port, headers | offers[at % 2], failures)) for at in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        process.terminate()
        process.wait(20)
    print(f"connections: through nginx: {failures.total()} of {CALLS} calls failed {dict(failures) or ''}", flush=True)
    return not failures


def main():
    node = Node(sys.argv[1])
    try:
        token = node.token(node.hotel)
        held = [by_the_jdk(node, token), through_nginx(node, token)]
    finally:
        node.stop()
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
