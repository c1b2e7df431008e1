"""A minute in the life of AGIS: a little of everything that is counted."""

import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request

ADMIN = "100000000000000001"
# A schedule fires at the full minute, and is counted once its operation has ended; the servers are counted every 15 s. On a
# busy machine all of it takes longer.
LONGEST = 180
# What is needed of a minute for rates over half a minute to have something to show.
SHORTEST = 45


def ask(base, path, method="GET", key=None, body=None):
    """The status and the body of an answer."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        error.read()
        return error.code, None


class Scene:
    def __init__(self):
        self.api, self.key, self.discord = os.environ["API"] + "/api/v1", os.environ["API_KEY"], os.environ["DISCORD"]
        self.stream = None

    def call(self, path, method="GET", body=None, key=None):
        return ask(self.api, path, method, key or self.key, body)

    def must(self, *args, **kwargs):
        status, body = self.call(*args, **kwargs)
        assert status < 300, f"{args} was answered with {status}"
        return body

    def begin(self):
        """Servers that run, one that crashes, a schedule for the next minute, and a key of few requests."""
        servers = [self.must("/servers", "POST", {"name": f"demo {n}", "game_type": "demo"})["id"] for n in range(3)]
        for server in servers[:2]:
            self.must(f"/servers/{server}/start", "POST")
        schedule = {"server_id": servers[2], "action": "start", "cron_expression": "* * * * *", "timezone": "UTC"}
        self.must("/schedules", "POST", schedule)
        small = {"name": "small", "scopes": ["read:servers"], "rate_limit": 5}
        self.small, self.servers = self.must("/auth/keys", "POST", small)["key"], servers
        self.follow(servers[0])

    def follow(self, server):
        """Keeps a console open, as a person does who looks at it."""
        address = urllib.parse.urlparse(self.api)
        self.stream = http.client.HTTPConnection(address.hostname, address.port)
        headers = {"Authorization": f"Bearer {self.key}"}
        self.stream.request("GET", f"{address.path}/servers/{server}/logs?follow=true", headers=headers)

    def act(self, turn):
        """What callers do again and again, and some of it is wrong."""
        for path in ("/servers", "/users/me", "/schedules", f"/servers/{self.servers[0]}", "/games"):
            self.call(path)
        self.call("/servers/999999")
        self.call("/servers", key="agis_" + "x" * 44)
        self.call("/servers", key=self.small)
        self.call("/servers", "POST", {"name": ""})
        if turn % 5 == 0:
            self.call(f"/servers/{self.servers[1]}/restart", "POST")
            for line in ("/server list", "/schedule list", "/profile", "/help"):
                ask(self.discord, "/standin/command", "POST", body={"user": ADMIN, "line": line})

    def play(self, is_done):
        """Acts until everything was counted that takes its time."""
        began, turn = time.monotonic(), 0
        while time.monotonic() - began < LONGEST:
            self.act(turn)
            turn += 1
            if time.monotonic() - began > SHORTEST and is_done():
                return
            time.sleep(0.5)
