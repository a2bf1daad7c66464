"""A small MCP server that does what it is told to do wrong: odd_server.py MODE [FILE]."""
import json
import os
import signal
import subprocess
import sys
import threading
import time

MODE = sys.argv[1]
FILE = sys.argv[2] if len(sys.argv) > 2 else None


def log(text):
    if FILE:
        with open(FILE, "a") as file:
            file.write(text + "\n")


lock = threading.Lock()


def send(message):
    with lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def raw(text):
    with lock:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def tool(name, **more):
    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    return {"name": name, "description": "does " + name, "inputSchema": schema, **more}


tools = [tool("echo"), tool("die"), tool("hang"), tool("env"), tool("grow")]
if MODE == "many":
    tools = [tool("tool_%d" % number) for number in range(5000)]
if MODE == "double":
    tools = [tool("same"), tool("same"), tool("a.b"), tool("a/b"), tool("x" * 100), tool("x" * 101)]
if MODE == "hints":
    tools = [tool("looks", annotations={"readOnlyHint": True, "destructiveHint": False}), tool("trusted")]
if MODE == "bare":
    tools = [{"name": "bare", "inputSchema": {}}]


def pages(cursor):
    if MODE == "many":
        start = int(cursor or 0)
        more = {"nextCursor": str(start + 100)} if start + 100 < len(tools) else {}
        return {"tools": tools[start : start + 100], **more}
    if MODE == "endless":
        number = int(cursor or 0)
        return {"tools": [tool("tool_%d" % number)], "nextCursor": str(number + 1)}
    return {"tools": tools}


def flood():
    while True:
        send({"method": "notifications/message", "params": {"level": "info", "data": "x" * 100}})


def call(id, params):
    name, arguments = params["name"], params.get("arguments") or {}
    token = (params.get("_meta") or {}).get("progressToken")
    log("call " + name)

    def answer(text, **more):
        send({"id": id, "result": {"content": [{"type": "text", "text": text}], **more}})

    if name == "die":
        sys.stderr.write("fatal: the disk is on fire\n")
        sys.stderr.flush()
        os._exit(3)
    elif name == "hang":
        send({"method": "notifications/progress", "params": {"progressToken": token, "progress": 1, "total": 4, "message": "still at it"}})
    elif name == "env":
        answer(json.dumps(dict(os.environ)))
    elif name == "grow":
        tools.append(tool("grown_%d" % len(tools)))
        send({"method": "notifications/tools/list_changed"})
        answer("grown")
    elif name == "looks" or name == "trusted" or name == "bare":
        answer(name)
    elif MODE == "large":
        answer("begin " + "ä" * 100000 + " end")
    elif MODE == "nonsense-answer":
        send({"id": id, "result": 7})
    else:
        answer("echo: " + arguments.get("text", ""))


if MODE == "exit":
    sys.stderr.write("Traceback: no module named nothing\n")
    sys.exit(4)
if MODE == "deaf":
    time.sleep(600)
if MODE == "nonsense":
    raw("Welcome to the server!")
    raw('{"jsonrpc": "2.0", "id": 0, "result": ')
    raw("[1, 2, 3]")
if MODE == "noise":
    def noise():
        while True:
            raw("blah " * 100)
    threading.Thread(target=noise, daemon=True).start()
if MODE == "stderr":
    def chatter():
        while True:
            sys.stderr.write("chatter " * 1000 + "\n")
    threading.Thread(target=chatter, daemon=True).start()
if MODE == "family":
    child = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL)
    log("child %d" % child.pid)
if MODE == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
log("start %d" % os.getpid())

for line in sys.stdin:
    message = json.loads(line)
    id, method, params = message.get("id"), message.get("method"), message.get("params") or {}
    if method == "initialize":
        log("roots" if "roots" in params["capabilities"] else "no roots")
        if MODE == "modern":
            send({"id": id, "error": {"code": -32601, "message": "there is no initialize"}})
            sys.exit(0)
        if MODE == "refuse":
            send({"id": id, "error": {"code": -32602, "message": "you are too old"}})
            continue
        if MODE == "flood":
            threading.Thread(target=flood, daemon=True).start()
        send({"id": id, "result": {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {"listChanged": True}, "prompts": {}},
            "serverInfo": {"name": "odd", "version": MODE},
        }})
    elif method == "server/discover" and MODE == "modern":
        send({"id": id, "result": {
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0, "cacheScope": "private",
            "capabilities": {"tools": {"listChanged": True}},
        }})
    elif method == "tools/list" and MODE == "modern":
        send({"id": id, "result": {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", **pages(None)}})
    elif method == "tools/list":
        if MODE == "late":
            time.sleep(1)
        send({"id": id, "result": pages(params.get("cursor"))})
    elif method == "prompts/list":
        arguments = [{"name": "what", "required": True}, {"name": "how"}]
        send({"id": id, "result": {"prompts": [{"name": "review", "description": "Review something", "arguments": arguments}]}})
    elif method == "prompts/get":
        text = "Review " + json.dumps(params.get("arguments"), sort_keys=True)
        send({"id": id, "result": {"messages": [{"role": "user", "content": {"type": "text", "text": text}}]}})
    elif method == "tools/call":
        call(id, params)
    elif method == "notifications/cancelled":
        log("cancelled " + str(params.get("requestId")))
    elif id is not None:
        send({"id": id, "error": {"code": -32601, "message": "no"}})
log("end of input")
if MODE == "stubborn":
    time.sleep(600)
