"""A model behind the Chat Completions protocol that says what a test tells it to: real HTTP, real server-sent events."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


@dataclass
class Reply:
    """What the model answers to one request."""

    text: str = ""
    calls: list[tuple[str, str, Json]] = field(default_factory=list)
    status: int = 200
    #: Set while the answer is held back after its first fragment.
    hold: threading.Event | None = None

    def chunks(self) -> list[Json]:
        """The fragments of the stream."""
        deltas: list[Json] = []
        words = self.text.split(" ")
        deltas += [{"content": word if at == 0 else f" {word}"} for at, word in enumerate(words) if self.text]
        for index, (call_id, name, arguments) in enumerate(self.calls):
            function = {"name": name, "arguments": json.dumps(arguments)}
            deltas.append({"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]})
        reason = "tool_calls" if self.calls else "stop"
        chunks: list[Json] = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        chunks.append({"choices": [], "usage": usage})
        return chunks


def say(text: str) -> Reply:
    """An answer in words."""
    return Reply(text=text)


def call(name: str, call_id: str = "call_1", **arguments: Any) -> Reply:
    """An answer that calls a tool."""
    return Reply(calls=[(call_id, name, arguments)])


class ModelServer:
    """The server. What it was not told to say is answered with `otherwise`."""

    def __init__(self) -> None:
        self.requests: list[Json] = []
        self.replies: deque[Reply] = deque()
        self.otherwise: Reply | None = None
        self._changed = threading.Condition()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                server._answer(self, json.loads(body))

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    @property
    def base_url(self) -> str:
        """What a provider's `base_url` is set to."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def push(self, *replies: Reply) -> None:
        """Answers to come, in this order."""
        self.replies.extend(replies)

    def wait(self, count: int, seconds: float = 20) -> Json:
        """Waits until there were `count` requests, and gives the last of those."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: len(self.requests) >= count, seconds)
            assert arrived, f"{len(self.requests)} requests instead of {count}"
            return self.requests[count - 1]

    def close(self) -> None:
        """Stops the server."""
        self._http.shutdown()
        self._http.server_close()

    def _answer(self, http: BaseHTTPRequestHandler, request: Json) -> None:
        with self._changed:
            self.requests.append(request)
            reply = self.replies.popleft() if self.replies else self.otherwise
            self._changed.notify_all()
        if reply is None:
            reply = Reply(status=500)
        if reply.status != 200:
            body = json.dumps({"error": {"message": "as the test wished"}}).encode()
            http.send_response(reply.status)
            http.send_header("content-type", "application/json")
            http.send_header("content-length", str(len(body)))
            http.end_headers()
            http.wfile.write(body)
            return
        http.send_response(200)
        http.send_header("content-type", "text/event-stream")
        http.send_header("connection", "close")
        http.end_headers()
        http.close_connection = True
        try:
            for chunk in reply.chunks():
                http.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                http.wfile.flush()
                if reply.hold is not None:
                    reply.hold.wait(30)
            http.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            pass  # The agent hung up: a cancel.


def texts(request: Json, role: str) -> list[str]:
    """What was said in a request by `role`."""
    found = []
    for message in request["messages"]:
        if message["role"] == role:
            content = message["content"]
            if isinstance(content, list):
                content = "".join(part.get("text", "") for part in content)
            found.append(content or "")
    return found
