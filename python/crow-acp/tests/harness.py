"""What the tests are made of: a model server that says what a test scripted, and an editor that speaks ACP over pipes."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

#: How long something may take that ought to happen soon, in seconds. Long: a busy machine must not fail a test.
PATIENCE = 60


def text(*pieces: str) -> list[dict[str, Any]]:
    """An answer of text, piece by piece."""
    return [{"content": piece} for piece in pieces]


def call(name: str, arguments: dict[str, Any], call_id: str = "call_1") -> list[dict[str, Any]]:
    """An answer that calls a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return [{"tool_calls": [{"index": 0, "id": call_id, "type": "function", "function": function}]}]


class ModelServer:
    """An OpenAI-compatible server. Replies come in the order in which they were scripted, then "Done."."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self._replies: queue.Queue[Any] = queue.Queue()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802 - the base class has it so
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                server.requests.append(body)
                try:
                    reply = server._replies.get_nowait()
                except queue.Empty:
                    reply = text("Done.")
                if callable(reply):
                    reply = reply(body)
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("connection", "close")
                self.end_headers()
                finish = "tool_calls" if any("tool_calls" in delta for delta in reply) else "stop"
                chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in reply]
                chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
                usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
                chunks.append({"choices": [], "usage": usage})
                try:
                    for chunk in chunks:
                        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                        self.wfile.flush()
                    self.wfile.write(b"data: [DONE]\n\n")
                except OSError:
                    pass

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def reply(self, *replies: list[dict[str, Any]] | Callable[[dict[str, Any]], list[dict[str, Any]]]) -> None:
        """Scripts answers, one for each request."""
        for reply in replies:
            self._replies.put(reply)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class RpcError(Exception):
    """The agent answered with an error."""


class Editor:
    """The other end of an agent: a process that speaks ACP on its standard input and output."""

    def __init__(self, command: list[str], home: Path, cwd: Path, env: dict[str, str] | None = None) -> None:
        self.cwd = cwd
        self.updates: list[dict[str, Any]] = []
        self.allow = True
        self.session = ""
        self._ids = 0
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._changed = threading.Condition()
        self.stderr_path = home / "stderr.txt"
        self._stderr = self.stderr_path.open("wb")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("CROW", "OPENAI"))}
        environment |= {"CROW_HOME": str(home), "PYTHONUNBUFFERED": "1", **(env or {})}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, cwd=cwd, env=environment
        )
        self.garbage: list[bytes] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                self.garbage.append(line)
                continue
            if "method" in message:
                self._asked(message)
            else:
                waiting = self._answers.get(message["id"])
                if waiting:
                    waiting.put(message)
        for waiting in list(self._answers.values()):
            waiting.put({"error": {"message": "the agent ended"}})
        with self._changed:
            self._changed.notify_all()

    def _asked(self, message: dict[str, Any]) -> None:
        if message["method"] == "session/update":
            with self._changed:
                self.updates.append(message["params"])
                self._changed.notify_all()
        elif message["method"] == "session/request_permission":
            wanted = "allow_once" if self.allow else "reject_once"
            options = message["params"]["options"]
            option = next(option["optionId"] for option in options if option["kind"] == wanted)
            self._send({"id": message["id"], "result": {"outcome": {"outcome": "selected", "optionId": option}}})
        elif "id" in message:
            self._send({"id": message["id"], "error": {"code": -32601, "message": "no"}})

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def begin(self, method: str, params: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        """Sends a request; what is returned waits for its answer."""
        self._ids += 1
        waiting: queue.Queue[dict[str, Any]] = queue.Queue()
        self._answers[self._ids] = waiting
        self._send({"id": self._ids, "method": method, "params": params})

        def answer() -> dict[str, Any]:
            try:
                message = waiting.get(timeout=PATIENCE)
            except queue.Empty:
                raise AssertionError(f"{method} was not answered; {self.stderr()}") from None
            if "error" in message:
                raise RpcError(f"{method}: {message['error']} {self.stderr()}")
            return message["result"]  # type: ignore[no-any-return]

        return answer

    def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Sends a request and waits for its answer."""
        return self.begin(method, params)()

    def notify(self, method: str, params: dict[str, Any]) -> None:
        self._send({"method": method, "params": params})

    def open(self) -> str:
        """Says hello, unless that was said, and opens a session."""
        if not self.session:
            capabilities = {"session": {"notices": {}}}
            self.request("initialize", {"protocolVersion": 1, "clientCapabilities": capabilities})
        opened: str = self.request("session/new", {"cwd": str(self.cwd), "mcpServers": []})["sessionId"]
        self.session = opened
        return opened

    def begin_prompt(self, words: str, session: str | None = None) -> Callable[[], dict[str, Any]]:
        content = [{"type": "text", "text": words}]
        return self.begin("session/prompt", {"sessionId": session or self.session, "prompt": content})

    def prompt(self, words: str, session: str | None = None) -> str:
        """Sends a prompt and gives what the agent said, once it has stopped."""
        before = len(self.updates)
        self.stop_reason = self.begin_prompt(words, session)()["stopReason"]
        return self.said(before)

    def said(self, since: int = 0, kind: str = "agent_message_chunk") -> str:
        """The text of the updates of that kind."""
        chunks = [update["update"] for update in self.updates[since:] if update["update"]["sessionUpdate"] == kind]
        return "".join(chunk["content"]["text"] for chunk in chunks)

    def everything(self) -> str:
        """All updates as one text."""
        return json.dumps(self.updates)

    def wait_for(self, words: str) -> None:
        """Waits until an update holds these words."""
        with self._changed:
            found = self._changed.wait_for(lambda: words in self.everything(), PATIENCE)
        assert found, f"no update says {words!r}: {self.everything()[-2000:]} {self.stderr()}"

    def stderr(self) -> str:
        return self.stderr_path.read_text(errors="replace")[-4000:]

    def hang_up(self) -> int:
        """Closes the agent's input and waits for its end."""
        assert self.process.stdin
        self.process.stdin.close()
        return self.process.wait(timeout=PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                try:
                    stream.close()
                except OSError:
                    pass
        self._stderr.close()


class Place:
    """A directory of one test's own: a home for Crow, a project, and packages to install plugins in."""

    def __init__(self, root: Path, model: ModelServer) -> None:
        self.root = root
        self.home = root / "home"
        self.project = root / "project"
        self.packages = root / "packages"
        for directory in (self.home, self.project, self.packages):
            directory.mkdir()
        self.log = root / "log.txt"
        self.log.touch()
        self._editors: list[Editor] = []
        self.configure()
        self.model = model
        (self.home / "config.toml").write_text(
            f'model = "test/model"\n[providers.test]\nprotocol = "openai"\nbase_url = "{model.url}"\napi_key = "k"\n'
        )

    def configure(self, more: str = "") -> None:
        """Adds to the configuration."""
        path = self.home / "config.toml"
        path.write_text((path.read_text() if path.exists() else "") + more)

    def plugin(self, name: str, code: str, *, entry: str | None = None) -> None:
        """Installs a plugin: a module of this code, and the metadata that an installer would write."""
        module = name.replace("-", "_") + "_module"
        head = f"from crow_acp import *\nfrom pathlib import Path\nLOG = Path({str(self.log)!r})\n"
        head += "def log(*words):\n    with LOG.open('a') as file:\n        print(*words, file=file)\n"
        (self.packages / f"{module}.py").write_text(head + textwrap.dedent(code))
        info = self.packages / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[crow-acp]\n{name} = {module}:{entry or 'Plugin'}\n")

    def editor(self, command: list[str]) -> Editor:
        editor = Editor(command, self.home, self.project, {"PYTHONPATH": str(self.packages)})
        self._editors.append(editor)
        return editor

    def crow(self, *args: str) -> Editor:
        """`crow-acp acp` with a session open."""
        editor = self.editor([sys.executable, "-m", "crow_acp", "acp", *args])
        editor.open()
        return editor

    def script(self, code: str) -> Editor:
        """A program of this code, with a session open."""
        path = self.root / "program.py"
        head = f"from pathlib import Path\nLOG = Path({str(self.log)!r})\n"
        head += "def log(*words):\n    with LOG.open('a') as file:\n        print(*words, file=file)\n"
        path.write_text(head + textwrap.dedent(code))
        editor = self.editor([sys.executable, str(path)])
        editor.open()
        return editor

    def run(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`crow-acp` with these arguments, to its end."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("CROW", "OPENAI"))}
        environment |= {"CROW_HOME": str(self.home), "PYTHONPATH": str(self.packages)}
        command = [sys.executable, "-m", "crow_acp", *args]
        return subprocess.run(
            command, env=environment, cwd=self.project, capture_output=True, text=True, check=check, timeout=PATIENCE
        )

    def logged(self) -> list[str]:
        """What plugins wrote down, line by line."""
        return self.log.read_text().splitlines()

    def close(self) -> None:
        for editor in self._editors:
            editor.close()
