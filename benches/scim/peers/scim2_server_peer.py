"""scim2-server with its storage in memory, as its own command runs it, but behind waitress, which keeps connections.

Arguments: the port, and the bearer token.
"""

import sys

import waitress
from scim2_models import ScimProvider
from scim2_server.memory import InMemoryStorage
from scim2_server.service import ScimService
from scim2_server.testserver.application import BEARER_TOKEN_SCHEME, BearerTokenApplication
from scim2_server.utils import (
    load_default_resource_types,
    load_default_schemas,
    load_default_service_provider_config,
)

port, token = int(sys.argv[1]), sys.argv[2]
config = load_default_service_provider_config()
config.authentication_schemes = [BEARER_TOKEN_SCHEME]
provider = ScimProvider.from_discovery(
    load_default_schemas().values(), load_default_resource_types().values(), config=config
)
service = ScimService(provider, secret="0" * 32)
application = BearerTokenApplication(InMemoryStorage(), provider, service=service, bearer_tokens=[token])
waitress.serve(application, host="127.0.0.1", port=port, threads=4, max_request_body_size=64 << 20, _quiet=True)
