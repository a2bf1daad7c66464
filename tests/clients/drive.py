"""Drives an ACP agent with the official Python client and prints what it saw as one JSON object.

    python drive.py CWD AGENT [ARGUMENTS…]

The prompts are the scenario's (the same as in drive.mjs); what the model answers to each is the test's to script.
"""

import asyncio
import json
import logging
import os
import sys

import acp

CWD, PROGRAM, *ARGS = sys.argv[1:]


class Complaints(logging.Handler):
    """Keeps what the client library has to say about the agent's messages."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


class Editor(acp.Client):
    """The client's side: answers permission requests, notes every update."""

    def __init__(self):
        self.seen = []
        self.permissions = []
        self.allow = True
        self.chunk = asyncio.Event()

    async def request_permission(self, session_id, tool_call, options, **kwargs):
        wanted = "allow_once" if self.allow else "reject_once"
        option = next(option for option in options if option.kind == wanted)
        self.permissions.append({"title": tool_call.title, "kinds": [option.kind for option in options]})
        outcome = {"outcome": "selected", "optionId": option.option_id}
        return acp.RequestPermissionResponse.model_validate({"outcome": outcome})

    async def session_update(self, session_id, update, **kwargs):
        self.seen.append(update.model_dump(by_alias=True, exclude_none=True))
        if update.session_update == "agent_message_chunk":
            self.chunk.set()

    def turn(self, result=None):
        def text(kind):
            return "".join(u["content"]["text"] for u in self.seen if u["sessionUpdate"] == kind)

        tools = {}
        for update in self.seen:
            if update["sessionUpdate"] in ("tool_call", "tool_call_update"):
                tools.setdefault(update["toolCallId"], {}).update(update)
        summary = {
            "stopReason": getattr(result, "stop_reason", None),
            "text": text("agent_message_chunk"),
            "thoughts": text("agent_thought_chunk"),
            "user": text("user_message_chunk"),
            "tools": [{key: tool.get(key) for key in ("title", "kind", "status")} for tool in tools.values()],
            "kinds": list(dict.fromkeys(update["sessionUpdate"] for update in self.seen)),
            "permissions": self.permissions,
        }
        self.seen, self.permissions = [], []
        return summary


async def connected(work):
    editor = Editor()
    async with acp.spawn_agent_process(editor, PROGRAM, *ARGS, env=dict(os.environ), cwd=CWD) as (agent, process):
        initialize = await agent.initialize(protocol_version=acp.PROTOCOL_VERSION)

        async def prompt(session_id, text):
            return editor.turn(await agent.prompt(session_id=session_id, prompt=[acp.text_block(text)]))

        result = await work(editor, agent, prompt)
    stderr = (await process.stderr.read()).decode()
    dumped = initialize.model_dump(by_alias=True, exclude_none=True)
    return {"initialize": dumped, **result, "exit": process.returncode, "stderr": stderr}


async def first(editor, agent, prompt):
    session = await agent.new_session(cwd=CWD, mcp_servers=[])
    session_id = session.session_id
    await agent.set_session_mode(session_id=session_id, mode_id="ask")
    editor.turn()
    edit = await prompt(session_id, "scenario: edit")
    editor.allow = False
    reject = await prompt(session_id, "scenario: reject")
    editor.allow = True
    editor.chunk.clear()
    hanging = asyncio.create_task(prompt(session_id, "scenario: hang"))
    await editor.chunk.wait()
    await agent.cancel(session_id=session_id)
    cancelled = await hanging
    after = await prompt(session_id, "scenario: after")
    listed = await agent.list_sessions(cwd=CWD)
    return {
        "sessionId": session_id,
        "mode": session.modes.current_mode_id if session.modes else None,
        "edit": edit,
        "reject": reject,
        "cancelled": cancelled,
        "after": after,
        "listed": [entry.session_id for entry in listed.sessions],
    }


async def main():
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    one = await connected(first)

    async def second(editor, agent, prompt):
        answer = await agent.load_session(cwd=CWD, session_id=one["sessionId"], mcp_servers=[])
        replay = editor.turn()
        again = await prompt(one["sessionId"], "scenario: again")
        answer = answer.model_dump(by_alias=True, exclude_none=True) if answer else None
        return {"answer": answer, "replay": replay, "again": again}

    two = await connected(second)
    stderr = one["stderr"] + two["stderr"]
    print(json.dumps({"first": one, "second": two, "stderr": stderr, "complaints": complaints.lines}))


asyncio.run(main())
