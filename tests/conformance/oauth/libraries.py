"""Tokens by Python's OAuth libraries, each by every method that it offers and the service takes, as docs/guides/integrators.md says.

    python libraries.py SCENARIO     prints `ok LIBRARY METHOD` for each
"""

import json
import os
import sys
import time

from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey
from oauthlib.oauth2 import BackendApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

with open(sys.argv[1]) as file:
    scenario = json.load(file)
URL = scenario["issuer"] + "/oauth2/token"
ID, SECRET = scenario["secret"]["client_id"], scenario["secret"]["client_secret"]
# The test's node has no TLS.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"


class IssuerAssertion(PrivateKeyJWT):
    """For the issuer, for a minute, with an id of its own each time: authlib's own is for the token endpoint, for an hour, and its `claims`
    would keep the first id."""

    alg = "ES256"

    def sign(self, auth, token_endpoint):
        self.claims = {"exp": int(time.time()) + 60}
        return super().sign(auth, scenario["issuer"])


def told(library, method, token):
    assert token["access_token"] and token["token_type"] == "Bearer", token
    print("ok", library, method, flush=True)


def by_authlib():
    for method in ("client_secret_basic", "client_secret_post"):
        session = AuthlibSession(ID, SECRET, scope="checks", token_endpoint_auth_method=method)
        told("authlib", method, session.fetch_token(URL, grant_type="client_credentials"))
    key = ECKey.import_key(scenario["jwk"])
    session = AuthlibSession(scenario["keyed"]["client_id"], key, scope="checks", token_endpoint_auth_method="private_key_jwt")
    session.register_client_auth_method(IssuerAssertion(headers={"kid": scenario["jwk"]["kid"]}))
    for _ in range(2):
        token = session.fetch_token(URL, grant_type="client_credentials")
    told("authlib", "private_key_jwt", token)


def by_requests_oauthlib():
    session = OAuth2Session(client=BackendApplicationClient(ID, scope="checks"))
    told("requests-oauthlib", "client_secret_basic", session.fetch_token(URL, auth=HTTPBasicAuth(ID, SECRET)))
    session = OAuth2Session(client=BackendApplicationClient(ID, scope="checks"))
    token = session.fetch_token(URL, client_secret=SECRET, include_client_id=True)
    told("requests-oauthlib", "client_secret_post", token)


by_authlib()
by_requests_oauthlib()
