"""python provision_scim2.py BASE TOKEN: what scim2-client sees of the SCIM service at BASE while it makes, finds, changes and removes resources."""

import json
import sys

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_models import PatchOp, PatchOperation, SearchRequest


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: python provision_scim2.py BASE TOKEN")
    base, token = sys.argv[1:]
    # It checks what it sends and what it gets: a resource by the schemas it discovered, a status, a content type.
    client = SyncSCIMClient(Client(base_url=base, headers={"Authorization": f"Bearer {token}"}))
    client.discover()
    User, Group = client.get_resource_model("User"), client.get_resource_model("Group")
    Enterprise = User.get_extension_model("EnterpriseUser")
    dump = lambda resource: json.loads(resource.model_dump_json())
    steps = {}

    alice = User(user_name="alice", external_id="701984", emails=[{"value": "alice@example.com", "type": "work"}])
    alice.name = User.Name(given_name="Alice", family_name="Liddell")
    alice[Enterprise] = Enterprise(department="Chess")
    alice = client.create(alice)
    bob = client.create(User(user_name="bob", display_name="Bob"))
    carol = client.create(User(user_name="carol", active=False))
    steps["created"] = dump(alice)
    steps["read"] = dump(client.query(User, alice.id))

    request = SearchRequest(filter='userName sw "b" or active eq false', sort_by="userName")
    steps["queried"] = [user.user_name for user in client.query(User, query_parameters=request).resources]
    request = SearchRequest(filter='emails[type eq "work" and value co "@example.com"]')
    steps["searched"] = [resource.user_name for resource in client.search(request).resources]

    alice.name.family_name, alice.emails = "Hargreaves", None
    alice = client.replace(alice)
    steps["replaced"] = dump(alice)
    operations = [
        PatchOperation(op="add", path="emails", value=[{"value": "alice@example.org", "primary": True}]),
        PatchOperation(op="replace", path=f"{Enterprise.__schema__}:department", value="Croquet"),
        PatchOperation(op="remove", path="name.givenName"),
    ]
    steps["modified"] = dump(client.modify(User, alice.id, PatchOp[User](operations=operations)))

    readers = Group(display_name="Readers", members=[{"value": alice.id}, {"value": bob.id}])
    readers = client.create(readers)
    operation = PatchOperation(op="add", path="members", value=[{"value": carol.id}])
    client.modify(Group, readers.id, PatchOp[Group](operations=[operation]))
    operation = PatchOperation(op="remove", path=f'members[value eq "{bob.id}"]')
    client.modify(Group, readers.id, PatchOp[Group](operations=[operation]))
    steps["group"] = dump(client.query(Group, readers.id))

    client.delete(User, bob.id)
    gone = client.query(User, bob.id, raise_scim_errors=False)
    steps["gone"] = [gone.status, gone.detail]
    steps["last"] = dump(client.query(User, alice.id))
    print(json.dumps({"tool": "scim2-client", "bob": bob.id, "carol": carol.id, **steps}))


main()
