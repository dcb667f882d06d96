"""python provision_canaille.py BASE TOKEN: Canaille, an identity server, with a client at BASE that it tells of its users and groups by SCIM.

What happens to them is told in phases, each after a line of input: a line of JSON with the phase and the identifiers in Canaille."""

import datetime
import json
import sys

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from canaille.scim.client import initiate_scim_client
from httpx import Client
from scim2_client import SCIMClientError
from scim2_client.engines.httpx import SyncSCIMClient

NOW = datetime.datetime.now(datetime.timezone.utc)


def phases(backend):
    alice = models.User(
        user_name="alice",
        formatted_name="Alice Liddell",
        family_name="Liddell",
        given_name="Alice",
        emails=["alice@example.com", "liddell@example.com"],
        phone_numbers=["555-0100"],
        preferred_language="en",
        organization="Looking-Glass",
        department="Chess",
        password="correct horse battery staple",
    )
    bob = models.User(user_name="bob", family_name="Carroll", emails=["bob@example.com"])
    backend.save(alice)
    yield "created", alice.id

    alice.family_name, alice.formatted_name = "Hargreaves", "Alice Hargreaves"
    alice.emails, alice.phone_numbers = ["alice@example.org"], []
    alice.department = "Croquet"
    alice.lock_date = NOW
    backend.save(alice)
    yield "changed", alice.id

    backend.save(bob)
    readers = models.Group(display_name="readers", members=[alice])
    backend.save(readers)
    yield "grouped", readers.id

    bob.groups = [readers]
    backend.save(bob)
    yield "joined", bob.id

    backend.delete(alice)
    yield "user removed", alice.id

    # Its members changed by what happened to users.
    backend.reload(readers)
    backend.delete(readers)
    yield "group removed", readers.id


def new_client(backend, base, token):
    """A client as an administrator registers it; trusted, so that it is told of users without their consent."""
    client = models.Client(
        client_id="doorward",
        client_name="Doorward",
        client_uri=base,
        redirect_uris=[base],
        client_id_issued_at=NOW,
        client_secret="not used",
        grant_types=["client_credentials"],
        response_types=["code"],
        scope=["openid", "profile"],
        token_endpoint_auth_method="client_secret_basic",
    )
    backend.save(client)
    lasting = {"issue_date": NOW, "lifetime": 3600}
    token = models.Token(token_id="1", access_token=token, audience=[client], client=client, scope=["openid"], **lasting)
    backend.save(token)
    return client


def refusal(base, token):
    """What the scim2-models that this Canaille needs does not like about the service, if anything."""
    try:
        SyncSCIMClient(Client(base_url=base, headers={"Authorization": f"Bearer {token}"})).discover()
    except SCIMClientError as error:
        return str(error.__cause__)
    return None


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: python provision_canaille.py BASE TOKEN")
    base, token = sys.argv[1:]
    app = create_app(
        config={
            "SECRET_KEY": "not used",
            "SERVER_NAME": "canaille.test",
            "CANAILLE": {"DATABASE": "memory", "TIMEZONE": "UTC"},
            "CANAILLE_OIDC": {"ENABLE_OIDC": True, "TRUSTED_DOMAINS": ["127.0.0.1"]},
            "CANAILLE_SCIM": {"ENABLE_CLIENT": True},
        }
    )
    with app.app_context(), app.backend.session():
        client = new_client(app.backend, base, token)
        input()
        print(json.dumps(["refused", refusal(base, token)]), flush=True)
        input()
        print(json.dumps(["supported", initiate_scim_client(client) is not None]), flush=True)
        steps = phases(app.backend)
        while True:
            input()
            print(json.dumps(next(steps, None)), flush=True)


try:
    main()
except EOFError:
    pass
