"""The programs of docs/guides/bound-tokens.md, each as it is there, by mutual TLS and by DPoP, against a node with TLS: without a nonce and with
one demanded where the program keeps nonces."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
import ssl
from pathlib import Path

from node import WIDE, free_port, id_number

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "bound-tokens.md"
LANGUAGES = ("sh", "python", "js", "java")


def programs():
    """For each language the program with a certificate and the one with proofs."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE.read_text(), re.M | re.S)
    by = {language: [text for of, text in found if of == language] for language in LANGUAGES}
    assert all(len(texts) == 2 for texts in by.values()), {of: len(texts) for of, texts in by.items()}
    return by


def run(*words, **options):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120, **options)
    if done.returncode != 0:
        raise SystemExit(f"{words}: {done.stdout}{done.stderr}")
    return done.stdout


def certificates(folder):
    (folder / "openssl.cnf").write_text("[req]\ndistinguished_name = dn\n[dn]\n")
    common = ["openssl", "req", "-x509", "-config", "openssl.cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    def make(name, *words):
        run(*common, "-keyout", f"{name}.key", "-out", f"{name}.pem", *words, cwd=folder)
    make("ca", "-subj", "/CN=Root", "-addext", "basicConstraints=critical,CA:TRUE")
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key"]
    make("node", "-subj", "/CN=node", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", *signed)
    make("client", "-subj", "/CN=desk", "-addext", "subjectAltName=DNS:desk.hotel.example", *signed)
    run("openssl", "pkcs12", "-export", "-in", "client.pem", "-inkey", "client.key", "-out", "client.p12", "-passout", "pass:changeit", cwd=folder)
    run("keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", "ca.pem", "-keystore", "trust.p12", "-storetype", "PKCS12",
        "-storepass", "changeit", cwd=folder)


class TlsNode:
    def __init__(self, binary, folder, nonce):
        self.binary, self.folder = os.path.abspath(binary), folder
        self.url = f"https://localhost:{free_port()}"
        settings = {"LOSTCARD_TLS__CERTIFICATE": "node.pem", "LOSTCARD_TLS__KEY": "node.key", "LOSTCARD_TLS__CLIENT_CA": "ca.pem",
                    "LOSTCARD_ACCESS__DPOP_NONCE": "true" if nonce else "false", "LOSTCARD_DRAIN_SECONDS": "0",
                    "LOSTCARD_LIMITS__ADDRESS": WIDE}
        self.log = open(folder / "log", "a+")
        self.process = subprocess.Popen(
            [self.binary, "serve", "--listen", self.url[8:], "--public-url", self.url, "--metrics-listen", "127.0.0.1:0"],
            cwd=folder, env=os.environ | settings, stdout=self.log, stderr=self.log)
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self.url}/health/ready", timeout=5, context=context).read()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        self.log.seek(0)
        raise SystemExit(f"the node did not become ready: {self.log.read()}")

    def make(self, *words):
        return json.loads(run(self.binary, *words, "--json", cwd=self.folder))

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


def commands(folder, python, oauth):
    """How a program of each language is run."""
    def js(text, name):
        # Node looks for packages next to the program.
        (oauth / name).write_text(text)
        return ["node", oauth / name]
    def java(text, name):
        program = folder / (re.search(r"public class (\w+)", text)[1] + ".java")
        program.write_text(text)
        return ["java", f"-Djavax.net.ssl.trustStore={folder}/trust.p12", "-Djavax.net.ssl.trustStorePassword=changeit", program]
    def written(*words):
        def command(text, name):
            (folder / name).write_text(text)
            return [*words, folder / name]
        return command
    return {"sh": written("bash", "-e"), "python": written(python, "-B"), "js": js, "java": java}


def main():
    binary, python, oauth = sys.argv[1:]
    held = True
    with tempfile.TemporaryDirectory(prefix="lostcard-bound-") as name:
        folder = Path(name)
        certificates(folder)
        how = commands(folder, os.path.abspath(python), Path(oauth).resolve())
        for nonce in (False, True):
            node = TlsNode(binary, folder, nonce)
            try:
                organization = node.make("organization", "create", "--name", "Hotel", "--kind", "certifying", "--region", "110105", "--rate", WIDE)
                create = ["client", "create", "--organization", organization["organization_id"], "--scope", "checks"]
                clients = [node.make(*create, "--tls-san-dns", "desk.hotel.example"), node.make(*create, "--bound", "dpop")]
                for language, texts in programs().items():
                    for kind, client, text in zip(("mtls", "dpop"), clients, texts):
                        if nonce and (kind, language) != ("dpop", "js"):
                            continue
                        env = os.environ | {
                            "URL": node.url, "CLIENT_ID": client["client_id"], "CLIENT_SECRET": client.get("client_secret", ""),
                            "NUMBER": id_number(), "CURL_CA_BUNDLE": f"{folder}/ca.pem", "REQUESTS_CA_BUNDLE": f"{folder}/ca.pem",
                            "NODE_EXTRA_CA_CERTS": f"{folder}/ca.pem"}
                        command = how[language](text, f"{kind}.{ {'sh': 'sh', 'python': 'py', 'js': 'mjs', 'java': 'java'}[language] }")
                        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=180)
                        good = done.returncode == 0 and "not_listed" in done.stdout
                        held = held and good
                        print(f"bound: {language} {kind}{' with nonce' if nonce else ''}: {'ok' if good else done.stdout + done.stderr}", flush=True)
            finally:
                node.stop()
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
