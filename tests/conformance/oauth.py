"""One node, a client with a secret and one with a key, and the OAuth libraries of Node and Python that must get tokens for both."""

import json
import subprocess
import sys
from pathlib import Path

from node import WIDE, Node

PROGRAMS = Path(__file__).resolve().parent / "oauth"
WANTED = {
    "node": [f"ok {library} {method}" for library in ("oauth4webapi", "openid-client")
             for method in ("client_secret_basic", "client_secret_post", "private_key_jwt")],
    "python": ["ok authlib client_secret_basic", "ok authlib client_secret_post", "ok authlib private_key_jwt",
               "ok requests-oauthlib client_secret_basic", "ok requests-oauthlib client_secret_post"],
}


def private_key(python):
    """A P-256 key as a JWK, made by the library that Python's clients sign with."""
    program = "from joserfc.jwk import ECKey; import json; print(json.dumps(ECKey.generate_key('P-256', {'kid': 'k1', 'alg': 'ES256'}).as_dict(private=True)))"
    return json.loads(subprocess.run([python, "-c", program], check=True, stdout=subprocess.PIPE, text=True).stdout)


def keyed_client(node, jwk, folder):
    public = {name: value for name, value in jwk.items() if name != "d"}
    (folder / "jwks.json").write_text(json.dumps({"keys": [public]}))
    organization = node._make("organization", "create", "--name", "Bank", "--kind", "certifying", "--region", "110105", "--rate", WIDE)
    words = ["client", "create", "--organization", organization["organization_id"], "--scope", "checks", "--jwks", "jwks.json"]
    return node._make(*words)


def main():
    binary, python, node_folder = sys.argv[1:]
    node = Node(binary)
    try:
        folder = Path(node.folder.name)
        jwk = private_key(python)
        scenario = folder / "oauth.json"
        scenario.write_text(json.dumps({"issuer": node.url, "secret": node.hotel, "keyed": keyed_client(node, jwk, folder), "jwk": jwk}))
        # Node looks for packages next to the program.
        program = Path(node_folder) / "main.mjs"
        program.write_bytes((PROGRAMS / "main.mjs").read_bytes())
        commands = {"node": ["node", program, scenario], "python": [python, "-B", PROGRAMS / "libraries.py", scenario]}
        held = True
        for name, command in commands.items():
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
            missing = [line for line in WANTED[name] if line not in done.stdout.splitlines()]
            if done.returncode != 0 or missing:
                print(f"oauth: {name} got no token for {missing}:\n{done.stdout}", flush=True)
                held = False
            else:
                print(f"oauth: {name}: {len(WANTED[name])} ways to a token", flush=True)
    finally:
        node.stop()
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
