"""The samples of the founding design, as they stand, over real pipes with a scripted model.

Where the design leaves something to the reader (`_extract_events`, `_flush`, `load_vector_db`, `contains_pii`), it is
filled in here and nothing else.
"""

from __future__ import annotations

import json
from pathlib import Path

from acp_client import AcpClient
from conftest import Place
from model_server import ModelServer, say, texts

DEFAULT = """
import asyncio
from crow_acp import AcpAgent, run_agent

async def main():
    agent = AcpAgent()  # Just works, no plugins
    await run_agent(agent)

asyncio.run(main())
"""

BUILT_IN = """
import asyncio
from crow_acp import AcpAgent, run_agent
from crow_acp.plugins import PersistenceHook, SystemPromptHook

async def main():
    agent = AcpAgent()
    agent._pm.register(PersistenceHook())
    agent._pm.register(SystemPromptHook("You are Crow."))
    await run_agent(agent)

asyncio.run(main())
"""


def with_plugins(*sources: str, registered: str) -> str:
    """A program that registers plugins by hand."""
    body = "\n".join(sources)
    lines = "\n".join(f"    agent._pm.register({plugin})" for plugin in registered.split(";"))
    return f"""
import asyncio, json, logging, os
from crow_acp import AcpAgent, hookimpl, run_agent

logger = logging.getLogger("sample")
out = open(os.environ["OUT"], "a", buffering=1)

{body}

async def main():
    agent = AcpAgent()
{lines}
    await run_agent(agent)

asyncio.run(main())
"""


def lines(place: Place) -> list[str]:
    """What the plugins wrote."""
    return (place.root / "out").read_text().splitlines()


def start(place: Place, program: str) -> AcpClient:
    """Starts a program whose plugins write to a file."""
    return place.run(program, OUT=str(place.root / "out"))


def test_default(place: Place, model: ModelServer) -> None:
    model.push(say("Hello there."))
    client = place.run(DEFAULT)
    session = client.new_session()
    assert client.prompt(session, "hi") == "end_turn"
    assert client.text() == "Hello there."
    assert texts(model.requests[0], "user")[-1].endswith("hi")
    assert client.close() == 0


def test_built_in_plugins_registered_by_hand(place: Place, model: ModelServer) -> None:
    model.push(say("one"))
    client = place.run(BUILT_IN)
    session = client.new_session()
    client.prompt(session, "remember me")
    assert texts(model.requests[0], "system")[0].startswith("You are Crow.")
    assert client.close() == 0

    # What was kept is there in the next process.
    model.push(say("two"))
    client = place.run(BUILT_IN)
    client.request("session/load", {"sessionId": session, "cwd": str(place.project), "mcpServers": []})
    client.prompt(session, "and?")
    assert any("remember me" in text for text in texts(model.requests[1], "user"))


PERSISTENCE = '''
class SQLitePersistence:
    def __init__(self, db_path="~/.crow/crow.db"):
        self.db_path = db_path
        self._queue = []

    @hookimpl
    async def after_turn(self, agent, session, usage):
        """Save session state after each turn."""
        events = self._extract_events(session)
        self._queue.extend(events)

        if len(self._queue) >= 50:
            await self._flush()

    @hookimpl
    async def on_shutdown(self, agent):
        """Flush remaining events on shutdown."""
        await self._flush()

    def _extract_events(self, session):
        return [{"session": session.session_id, "message": message} for message in list(session.messages)[-2:]]

    async def _flush(self):
        await asyncio.sleep(0)
        for event in self._queue:
            print(json.dumps(event), file=out)
        self._queue.clear()
'''


def test_persistence(place: Place, model: ModelServer) -> None:
    model.push(say("the answer"))
    client = start(place, with_plugins(PERSISTENCE, registered="SQLitePersistence()"))
    session = client.new_session()
    client.prompt(session, "the question")
    assert lines(place) == [], "it is written when the agent goes down"
    assert client.close() == 0
    events = [json.loads(line) for line in lines(place)]
    assert [event["session"] for event in events] == [session, session]
    assert [event["message"]["role"] for event in events] == ["user", "assistant"]


RAG = '''
class Db:
    def search(self, text, top_k):
        return ["The sky is green."] if "sky" in text else []

class RAGHook:
    def __init__(self, vector_db_path):
        self.db = Db()

    @hookimpl(tryfirst=True)  # Run before other hooks
    async def before_run(self, agent, user_input):
        """Inject relevant context from vector DB."""
        results = self.db.search(user_input, top_k=5)
        if results:
            context = "\\n".join(results)
            session = agent._sessions.get(agent._session_id)
            if session:
                session.add_message("system", f"Context:\\n{context}")
'''


def test_retrieval(place: Place, model: ModelServer) -> None:
    model.push(say("Green."), say("No idea."))
    client = start(place, with_plugins(RAG, registered='RAGHook("vectors.db")'))
    first, second = client.new_session(), client.new_session()
    client.prompt(first, "what colour is the sky?")
    client.prompt(second, "what colour is the sea?")
    assert "The sky is green." in json.dumps(model.requests[0]["messages"])
    assert "The sky is green." not in json.dumps(model.requests[1]["messages"])


ORDER = """
def contains_pii(messages):
    return any("SSN" in json.dumps(dict(message)) for message in messages)

class First:
    @hookimpl(tryfirst=True)
    async def before_llm_request(self, agent, session, messages):
        # Runs first - good for security/validation
        if contains_pii(messages):
            raise ValueError("PII detected!")
        return messages

class Last:
    @hookimpl(trylast=True)
    async def before_llm_request(self, agent, session, messages):
        # Runs last - good for final modifications
        messages.insert(0, {"role": "system", "content": "Be helpful."})
        return messages
"""


def test_first_and_last(place: Place, model: ModelServer) -> None:
    model.push(say("fine"))
    client = start(place, with_plugins(ORDER, registered="First();Last()"))
    session = client.new_session()
    client.prompt(session, "hello")
    # Whoever returns the list it was given has edited it in place: the check does not hide the one that runs last.
    assert "Be helpful." in texts(model.requests[0], "system")[0]
    assert all("Be helpful." not in json.dumps(message) for message in model.requests[0]["messages"][1:])
    model.push(say("never"))
    client.prompt(session, "my SSN is 1")
    assert len(model.requests) == 1, "nothing left the machine"
    assert "PII detected!" in client.text() + client.notices()


WRAPPERS = '''
class Logging:
    @hookimpl(wrapper=True)
    def after_turn(self, agent, session, usage):
        """Wrap all after_turn hooks with logging."""
        print(f"Turn starting for session {session.session_id}", file=out)

        # Call all other after_turn implementations
        result = yield

        print(f"Turn complete, results: {result}", file=out)

        return result

class Replacing:
    @hookimpl(wrapper=True)
    async def after_turn(self, agent, session, usage):
        result = yield
        await asyncio.sleep(0)
        yield [*result, "added"]

class Answering:
    @hookimpl
    async def after_turn(self, agent, session, usage):
        await asyncio.sleep(0)
        return usage["input_tokens"]

class Silent:
    @hookimpl
    def after_turn(self, session):
        return None
'''


def test_wrappers(place: Place, model: ModelServer) -> None:
    model.push(say("fine"))
    client = start(place, with_plugins(WRAPPERS, registered="Replacing();Logging();Answering();Silent()"))
    session = client.new_session()
    client.prompt(session, "hello")
    # Registered later is outer: `Logging` sees what `Replacing` made of it.
    expected = [f"Turn starting for session {session}", "Turn complete, results: [10, 'added']"]
    assert lines(place) == expected


CALLING = """
class Answers:
    @hookimpl
    async def after_turn(self, agent, session, usage):
        return "an answer"

class Asks:
    @hookimpl
    async def before_run(self, agent, session, user_input):
        results = await agent.hook.after_turn(agent=agent, session=session, usage={})
        # results is a list of all return values (excluding None)
        print(results, file=out)
"""


def test_results_are_collected(place: Place, model: ModelServer) -> None:
    model.push(say("fine"))
    client = start(place, with_plugins(CALLING, registered="Answers();Asks()"))
    client.prompt(client.new_session(), "hello")
    assert lines(place) == ["['an answer']"]


SELF_INJECTION = """
class Modifies:
    @hookimpl
    async def after_turn(self, agent, session, usage):
        # we can do whatever we want
        agent._some_internal_thing = "modified"
        session.messages.append({"role": "system", "content": "Turn complete."})

class Reads:
    @hookimpl
    def on_shutdown(self, agent):
        print(agent._some_internal_thing, file=out)
"""


def test_self_injection(place: Place, model: ModelServer) -> None:
    model.push(say("one"), say("two"))
    client = start(place, with_plugins(SELF_INJECTION, registered="Modifies();Reads()"))
    session = client.new_session()
    client.prompt(session, "hello")
    client.prompt(session, "again")
    assert "Turn complete." not in json.dumps(model.requests[0]["messages"])
    assert "Turn complete." in json.dumps(model.requests[1]["messages"])
    client.close()
    assert lines(place) == ["modified"]


def test_the_readmes_sample(place: Place, model: ModelServer) -> None:
    text = (Path(__file__).parents[3] / "README.md").read_text()
    source = text.split("```python\nfrom crow_acp import hookimpl\n")[1].split("```")[0]
    client = start(place, with_plugins(source, registered="NoSecrets()"))
    session = client.new_session()
    client.prompt(session, "my key is sk-123")
    assert "that looks like a secret key" in client.text() + client.notices()
    assert model.requests == []


ILLEGAL = """
from crow_acp import hookimpl

class Logging:
    @hookimpl(wrapper=True)
    async def after_turn(self, agent, session, usage):
        result = yield
        return result
"""


def test_the_one_sample_that_is_no_python() -> None:
    try:
        compile(ILLEGAL, "sample.py", "exec")
    except SyntaxError as error:
        assert "return" in str(error)
    else:
        raise AssertionError("Python has changed: the guide can drop its note")
