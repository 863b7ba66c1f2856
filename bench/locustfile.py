"""What the load of bench/serve.py does, for Locust: one class of users a row of its table.

serve.py runs it; settings come from its environment. A reply is counted under what it was: answered, refused (429),
lost (an error or none) or mixed up (another question's answer). Each question carries a mark of its own that its answer
must repeat.
"""

import os
import secrets

import locust.stats
from locust import FastHttpUser, task

locust.stats.bucket_response_time = round  # whole milliseconds, where Locust keeps two digits

HEADERS = {"authorization": f"Bearer {os.environ['BENCH_TOKEN']}"}
LABS = "LABS: Potassium 6.9 mmol/L (3.5-5.1)\n" * int(os.environ["BENCH_LINES"])


class Asker(FastHttpUser):
    "Somebody who asks, waits for the answer and asks again."

    abstract, network_timeout, connection_timeout = True, 120, 120

    def ask(self, path: str, body, headers=None):
        "Send one marked question and count its reply under what it was."
        mark = "".join(
            secrets.choice("bcdfghjkmnpqrstvwxz") for _ in range(12)
        )  # digits might be taken for a patient's number
        with self.client.post(path, json=body(mark), headers=headers, catch_response=True) as reply:
            kind = {200: "answered" if mark in (reply.text or "") else "mixed", 429: "refused"}.get(
                reply.status_code, "lost"
            )
            reply.request_meta["name"] = kind
            if kind in ("answered", "refused"):
                reply.success()
            else:
                reply.failure(f"{kind}: {reply.status_code}")
        if kind == "refused":
            self._sleep(0.05)


class Bare(Asker):
    "The model server, asked directly."

    host = os.environ["BENCH_MODEL"]

    @task
    def chat(self):
        self.ask("/v1/chat/completions", lambda mark: {"messages": [{"role": "user", "content": f"potassium {mark}"}]})


class Chat(Asker):
    "The gateway's chat endpoint in front of it."

    host = os.environ["BENCH_GATEWAY"]

    @task
    def chat(self):
        self.ask(
            "/v1/chat/completions",
            lambda mark: {"messages": [{"role": "user", "content": f"potassium {mark}"}]},
            HEADERS,
        )


class Task(Asker):
    "A question about a report, de-identified and kept."

    host = os.environ["BENCH_GATEWAY"]

    @task
    def question(self):
        self.ask(
            "/v1/tasks/question",
            lambda mark: {"text": f"{LABS}FINDINGS: none {mark}", "question": "What is the potassium?"},
            HEADERS,
        )
