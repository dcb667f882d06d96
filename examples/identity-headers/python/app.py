"""python3 app.py PORT: a service behind Doorward. It answers with what it understood of the identity headers."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import identity


def understood(headers):
    payload = identity.payload(headers, "x-jwt-payload")
    user_id = identity.text(headers, "x-user-id")
    return {
        # No x-user-id, no user: the document says `when_missing: reject` for it.
        "anonymous": user_id is None,
        "user_id": user_id,
        "name": identity.text(headers, "x-user-name"),
        "groups": identity.items(headers, "x-user-groups"),
        "roles": identity.items(headers, "x-user-roles", " "),
        "permissions": identity.items(headers, "x-user-permissions"),
        "address": identity.json_value(headers, "x-user-address"),
        "motto": identity.base64url_text(headers, "x-user-motto"),
        # As text: JavaScript, for one, would take digits away from a large number in JSON.
        "employee_number": to_text(identity.integer(headers, "x-employee-number")),
        "issuer": None if payload is None else json.loads(payload)["iss"],
        "payload": payload,
    }


def to_text(number):
    return None if number is None else str(number)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/healthz":
            return self.answer(200, b"ok\n", "text/plain")
        try:
            status, answer = 200, understood(self.headers)
        except (KeyError, ValueError) as error:
            # Not the user's fault: this service and the proxy's document do not agree. Nobody is let in by half an identity.
            print(f"identity headers not understood: {error!r}", file=sys.stderr)
            status, answer = 500, {"error": "identity headers not understood"}
        body = json.dumps(answer, indent=2, ensure_ascii=False) + "\n"
        return self.answer(status, body.encode(), "application/json")

    def answer(self, status, body, content_type):
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


# On loopback only, where the proxy is: whoever can reach this port can write identity headers.
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
