"""A plain ACP client: a program at the other end of two pipes, one JSON object a line."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

Json = dict[str, Any]


class AcpError(Exception):
    """The agent answered a request with an error."""

    def __init__(self, error: Json) -> None:
        super().__init__(f"{error.get('message')} {json.dumps(error.get('data'))}")
        self.error = error


class AcpClient:
    """Starts an agent and talks to it. Permission is given when it asks, unless `permission` says otherwise."""

    def __init__(self, command: list[str], cwd: Path, env: dict[str, str]) -> None:
        self.cwd = cwd
        self.permission = "allow_once"
        self.updates: list[Json] = []
        self.process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._answers: dict[int, queue.Queue[Json]] = {}
        self._next = 0
        self._lock = threading.Lock()
        self._changed = threading.Condition()
        self.errors: list[str] = []
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._read, self._read_errors)]
        for thread in self._threads:
            thread.start()

    def _read_errors(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.errors.append(line.decode(errors="replace"))

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            message = json.loads(line)
            method = message.get("method")
            if method == "session/update":
                with self._changed:
                    self.updates.append(message["params"])
                    self._changed.notify_all()
            elif method == "session/request_permission":
                options = message["params"]["options"]
                chosen = next(option for option in options if option["kind"] == self.permission)
                outcome = {"outcome": "selected", "optionId": chosen["optionId"]}
                self._send({"jsonrpc": "2.0", "id": message["id"], "result": {"outcome": outcome}})
            elif method is None and message["id"] in self._answers:
                self._answers[message["id"]].put(message)
            elif method is not None and "id" in message:
                error = {"code": -32601, "message": "not here"}
                self._send({"jsonrpc": "2.0", "id": message["id"], "error": error})
        for waiting in list(self._answers.values()):
            waiting.put({"error": {"message": "the agent left"}})

    def _send(self, message: Json) -> None:
        assert self.process.stdin
        with self._lock:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()

    def notify(self, method: str, params: Json) -> None:
        """Sends a notification."""
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def start(self, method: str, params: Json) -> int:
        """Sends a request."""
        with self._lock:
            self._next += 1
            request = self._next
        self._answers[request] = queue.Queue()
        self._send({"jsonrpc": "2.0", "id": request, "method": method, "params": params})
        return request

    def wait(self, request: int, seconds: float = 30) -> Any:
        """The result of a request."""
        try:
            answer = self._answers[request].get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError(f"no answer in {seconds} s; on stderr: {''.join(self.errors)}") from None
        if "error" in answer:
            raise AcpError({**answer["error"], "stderr": "".join(self.errors)})
        return answer["result"]

    def request(self, method: str, params: Json) -> Any:
        """Sends a request and waits for its result."""
        return self.wait(self.start(method, params))

    def initialize(self, capabilities: Json | None = None) -> Any:
        """The handshake."""
        info = {"name": "test", "version": "1"}
        capabilities = {"session": {"notices": {}}} if capabilities is None else capabilities
        params = {"protocolVersion": 1, "clientCapabilities": capabilities, "clientInfo": info}
        return self.request("initialize", params)

    def new_session(self, cwd: Path | None = None) -> str:
        """A new session's id."""
        session: str = self.request("session/new", {"cwd": str(cwd or self.cwd), "mcpServers": []})["sessionId"]
        return session

    def start_prompt(self, session: str, text: str) -> int:
        """Sends a prompt."""
        return self.start("session/prompt", {"sessionId": session, "prompt": [{"type": "text", "text": text}]})

    def prompt(self, session: str, text: str) -> str:
        """Sends a prompt and gives the stop reason."""
        reason: str = self.wait(self.start_prompt(session, text))["stopReason"]
        return reason

    def cancel(self, session: str) -> None:
        """Cancels what a session does."""
        self.notify("session/cancel", {"sessionId": session})

    def of_kind(self, kind: str, session: str | None = None) -> list[Json]:
        """The updates of one kind so far."""
        with self._changed:
            return [
                update["update"]
                for update in self.updates
                if update["update"]["sessionUpdate"] == kind and session in (None, update["sessionId"])
            ]

    def text(self, session: str | None = None) -> str:
        """All that the agent said so far."""
        return "".join(chunk["content"]["text"] for chunk in self.of_kind("agent_message_chunk", session))

    def notices(self) -> str:
        """All notices so far, a line each."""
        return "\n".join(f"{notice['title']} {notice.get('description') or ''}" for notice in self.of_kind("notice"))

    def wait_until(self, true: Any, seconds: float = 20) -> None:
        """Waits until an update makes a condition true."""
        with self._changed:
            assert self._changed.wait_for(true, seconds), f"it did not come true; stderr: {''.join(self.errors)}"

    def close(self, seconds: float = 10) -> int:
        """Closes the agent's stdin and waits for it to end."""
        assert self.process.stdin
        if not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the agent did not end; stderr: {''.join(self.errors)}") from None
        for thread in self._threads:
            thread.join(seconds)
        return status

    def kill(self) -> None:
        """Ends it at once."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for thread in self._threads:
            thread.join(10)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()


def environment(root: Path, **more: str) -> dict[str, str]:
    """The variables of a program that lives below `root` alone."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "VIRTUAL_ENV", "PYTHONPATH")}
    home = root / "user"
    home.mkdir(exist_ok=True)
    return {**kept, "HOME": str(home), "CROW_HOME": str(root / "crow-home"), **more}


def wait_for(true: Any, seconds: float = 10) -> None:
    """Waits until a condition holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)
