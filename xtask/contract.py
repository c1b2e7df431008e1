"""What schemathesis does beside its configuration."""

import os

import schemathesis

OWN = os.environ["AGIS_API_KEY_ID"]


@schemathesis.hook
def before_call(context, case, kwargs):
    """The key that asks is changed, rotated and revoked like every other, but not in the middle of a run."""
    if case.operation.path.startswith("/api/v1/auth/keys/{id}") and case.method.upper() != "GET":
        if str(case.path_parameters.get("id")) == OWN:
            case.path_parameters["id"] = str(int(OWN) - 1)
