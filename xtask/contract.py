"""The hook of schemathesis."""

import os

import schemathesis

OWN = os.environ["AGIS_API_KEY_ID"]


@schemathesis.hook
def before_call(context, case, kwargs):
    """Spares the key of the requests: a run that revokes it goes on with 401 alone."""
    if case.operation.path.startswith("/api/v1/auth/keys/{id}") and case.method.upper() != "GET":
        if str(case.path_parameters.get("id")) == OWN:
            case.path_parameters["id"] = str(int(OWN) - 1)
