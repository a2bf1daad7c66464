"""One chain with impls in Rust and in Python: order, arguments, results, exceptions, cancelling."""

from __future__ import annotations



import pytest
from acp_client import AcpError, wait_for
from conftest import Place
from model_server import ModelServer, call, say, texts


def test_an_installed_plugin_fires(place: Place, model: ModelServer) -> None:
    place.plugin(
        "hello",
        """
        class Plugin:
            @hookimpl
            async def before_run(self, agent, user_input):
                session = agent._sessions.get(agent._session_id)
                session.add_message("system", "Context: " + user_input)

            @hookimpl
            async def after_turn(self, agent, session, usage):
                log("turn", session.session_id == agent._session_id, usage["input_tokens"], len(session.messages))

            @hookimpl
            async def on_startup(self, agent):
                log("startup", agent._session_id)

            @hookimpl
            def on_shutdown(self, agent):
                log("shutdown")
        """,
    )
    model.push(say("Hi there."))
    client = place.crow()
    client.prompt(client.new_session(), "hello")
    assert client.text() == "Hi there."
    assert "Context: hello" in str(model.requests[0]["messages"])
    assert client.close() == 0
    assert place.lines() == ["startup None", "turn True 10 3", "shutdown"]


def test_arguments_are_one_object_for_the_whole_chain(place: Place, model: ModelServer) -> None:
    place.plugin(
        "editing",
        """
        SEEN = []

        class Plugin:
            @hookimpl(tryfirst=True, specname="before_llm_request")
            async def first(self, messages):
                SEEN.append(messages)
                messages.append({"role": "user", "content": "one"})

            @hookimpl(specname="before_llm_request")
            def second(self, session, messages):
                log(messages is SEEN[-1], messages[-1]["content"], len(session.messages))
                messages[0]["content"] += " (edited)"
                return messages

            @hookimpl(wrapper=True, specname="before_llm_request")
            def around(self, messages):
                given = len(messages)
                result = yield
                log("around", messages is SEEN[-1], given, len(messages), result)
                messages.append({"role": "user", "content": "from the wrapper"})
                return result
        """,
    )
    model.push(say("fine"), say("fine"))
    client = place.crow()
    session = client.new_session()
    client.prompt(session, "hello")
    assert texts(model.requests[0], "user")[-3:] == ["hello (edited)", "one", "from the wrapper"] or texts(
        model.requests[0], "user"
    ) == ["hello (edited)\n\none\n\nfrom the wrapper"]
    assert place.lines() == ["True one 1", "around True 1 2 None"]
    client.prompt(session, "again")
    assert place.lines()[2:] == ["True one 3", "around True 3 4 None"], "another call has another list"
    assert "(edited)" not in texts(model.requests[1], "user")[-1]


def test_rust_and_python_stand_in_one_order(place: Place) -> None:
    place.plugin(
        "order",
        """
        SEEN = []

        class Plugin:
            @hookimpl(tryfirst=True, specname="system_prompt")
            def first(self, sections):
                log("first", len(sections))
                SEEN.append(sections)

            @hookimpl(trylast=True, specname="system_prompt")
            async def last(self, sections):
                log("last", len(sections) > 0, sections is SEEN[-1])
                sections.append({"id": "extra", "text": "Be brief.", "scope": "static"})

            @hookimpl(after="system-prompt")
            def before_prompt(self): ...
        """,
    )
    place.model.push(say("fine"))
    client = place.crow()
    client.prompt(client.new_session(), "hello")
    # The built-in plugin's sections come between.
    assert place.lines() == ["first 0", "last True True"], "the very list has Rust's sections in it"
    assert "Be brief." in texts(place.model.requests[0], "system")[0]
    listed = place.command("hooks", "system_prompt").stdout
    at = [listed.index(line) for line in ("order", "system-prompt")]
    assert at[0] < at[1] < listed.rindex("order")


def test_an_exception_passes_through_rust_as_it_is(place: Place, model: ModelServer) -> None:
    place.plugin(
        "raises",
        """
        class Mine(Exception): ...

        ERROR = Mine("not today")

        class Plugin:
            @hookimpl(wrapper=True, tryfirst=True)
            def call_llm(self, request):
                try:
                    return (yield)
                except Mine as error:
                    log("outer", error is ERROR)
                    raise

            @hookimpl(wrapper=True, specname="call_llm", trylast=True)
            async def inner(self, request):
                raise ERROR
                yield
        """,
    )
    (place.project / "recording").mkdir()
    # `replay` wraps `call_llm` in Rust, between the two.
    place.config('[plugins.replay]\nrecord = "recording/model.jsonl"\n')
    model.otherwise = say("never")
    client = place.crow()
    with pytest.raises(AcpError, match="Mine: not today"):
        client.prompt(client.new_session(), "hello")
    assert place.lines() == ["outer True"]
    assert model.requests == []


def test_a_cancel_reaches_the_task(place: Place) -> None:
    place.plugin(
        "slow",
        """
        class Plugin:
            @hookimpl
            async def before_llm_request(self, session):
                log("waiting")
                try:
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    log("cancelled")
                    raise
                finally:
                    log("finally")

            @hookimpl(wrapper=True, specname="before_llm_request")
            def around(self):
                try:
                    yield
                except GeneratorExit:
                    log("closed")
                    raise
        """,
    )
    client = place.crow()
    session = client.new_session()
    prompt = client.start_prompt(session, "hello")
    wait_for(lambda: "waiting" in place.lines())
    client.cancel(session)
    assert client.wait(prompt)["stopReason"] == "cancelled"
    wait_for(lambda: len(place.lines()) == 4)
    assert sorted(place.lines()[1:]) == ["cancelled", "closed", "finally"]


def test_sessions_that_wait_do_not_wait_for_each_other(place: Place, model: ModelServer) -> None:
    place.plugin(
        "rendezvous",
        """
        HERE = []
        ALL = asyncio.Event()

        class Plugin:
            @hookimpl
            async def before_run(self, agent, session):
                HERE.append(agent._session_id == session.id)
                if len(HERE) == 20:
                    ALL.set()
                await ALL.wait()
                assert agent._session_id == session.id

            @hookimpl
            def on_shutdown(self, agent):
                log(len(HERE), all(HERE))
        """,
    )
    model.otherwise = say("fine")
    client = place.crow()
    sessions = [client.new_session() for _ in range(20)]
    # Nobody goes on before all have come.
    prompts = [client.start_prompt(session, "hello") for session in sessions]
    assert [client.wait(prompt)["stopReason"] for prompt in prompts] == ["end_turn"] * 20
    client.close()
    assert place.lines() == ["20 True"]


def test_tools_commands_and_providers_are_functions(place: Place, model: ModelServer) -> None:
    place.plugin(
        "offers",
        '''
        from typing import Annotated, Literal

        @tool(kind="fetch", read_only=True)
        async def get_weather(city: Annotated[str, "Where."], unit: Literal["C", "F"] = "C", *, session=None) -> str:
            """The weather of a city."""
            await asyncio.sleep(0)
            if city == "nowhere":
                raise ValueError("there is no such city")
            return f"{city}: 20 {unit} in {session.id == session.session_id}"

        def add(a: int, b: int) -> dict:
            """Adds two numbers.

            Args:
                a: One.
                b: The other.
            """
            return {"sum": a + b}

        @command(hint="NAME")
        async def greet(name: str, session):
            """Greets somebody."""
            return f"Hello, {name}! {len(session.messages)}"

        @provider("parrot", models=["one", {"name": "two", "context_window": 1000}])
        async def parrot(request):
            for word in request["messages"][-1]["content"].split():
                await asyncio.sleep(0)
                yield word + "! "
            yield {"usage": {"input_tokens": 1, "cached_input_tokens": 0, "output_tokens": 2, "reasoning_tokens": 0}}

        class Plugin:
            @hookimpl
            def register_tools(self, agent, session):
                return [get_weather, add]

            @hookimpl
            async def register_commands(self):
                return [greet]

            @hookimpl
            def register_providers(self):
                return [parrot]

            @hookimpl
            def after_tool_call(self, call, outcome):
                log(call["name"], outcome["status"], outcome["text"])
        ''',
    )
    model.push(call("get_weather", city="Bern"), call("get_weather", city="nowhere"), call("add", a=1, b=2), say("ok"))
    client = place.crow()
    session = client.new_session()
    assert client.prompt(session, "weather?") == "end_turn"
    assert place.lines() == [
        "get_weather completed Bern: 20 C in True",
        "get_weather failed ValueError: there is no such city",
        'add completed {"sum":3}',
    ]
    tools = {entry["function"]["name"]: entry["function"] for entry in model.requests[0]["tools"]}
    weather = tools["get_weather"]
    assert weather["description"] == "The weather of a city."
    properties = weather["parameters"]["properties"]
    assert properties["city"] == {"type": "string", "description": "Where."}
    assert properties["unit"] == {"type": "string", "enum": ["C", "F"], "default": "C"}
    assert weather["parameters"]["required"] == ["city"]
    assert tools["add"]["parameters"]["properties"]["a"] == {"type": "integer", "description": "One."}
    assert any(c["name"] == "greet" for update in client.of_kind("available_commands_update") for c in update["availableCommands"])
    client.updates.clear()
    client.prompt(session, "/greet Ada")
    assert client.text().startswith("Hello, Ada! ")
    client.request("session/set_config_option", {"sessionId": session, "configId": "model", "value": "parrot/two"})
    client.updates.clear()
    client.prompt(session, "say this")
    assert client.text() == "say! this! "


def test_state_is_live_both_ways(place: Place, model: ModelServer) -> None:
    place.plugin(
        "live",
        """
        class Plugin:
            @hookimpl
            async def before_run(self, agent, session):
                agent.counter = getattr(agent, "counter", 0) + 1
                agent.thing = self
                session.mark = {"here": True}
                session.title = "A title"
                session.extra = [1, 2]
                assert session is agent._sessions[session.id] and session == agent.sessions[session.id]
                assert agent.thing is self and agent._pm.get_plugin("live") is self
                assert not hasattr(agent, "nothing") and not hasattr(session, "nothing")
                try:
                    session.cwd = "/"
                except AttributeError as error:
                    log(error)
                del session.extra
                assert not hasattr(session, "extra")

            @hookimpl
            async def after_turn(self, agent, session):
                log(agent.counter, session.mark, session.title, session.messages[-1]["content"], session.model)
                log([message["role"] for message in session.messages], agent is self_agent(agent))
                results = await agent.hook.embed(agent=agent, texts=["x"])
                log(results, "tools" in [name for name, _ in agent._pm.list_name_plugin()])

        def self_agent(agent):
            return agent._pm.get_plugin("live") and agent
        """,
    )
    model.push(say("one"), say("two"))
    client = place.crow()
    session = client.new_session()
    client.prompt(session, "hello")
    assert place.lines()[0] == "a session's `cwd` cannot be set"
    assert place.lines()[1] == "1 {'here': True} A title one test/scripted"
    assert place.lines()[2] == "['user', 'assistant'] True"
    assert place.lines()[3].endswith("True")
    assert any(update.get("title") == "A title" for update in client.of_kind("session_info_update"))


def test_deltas_and_updates(place: Place, model: ModelServer) -> None:
    place.plugin(
        "redacts",
        """
        BATCHES = []

        class Plugin:
            @hookimpl
            def on_stream_delta(self, session, delta):
                BATCHES.append(delta["text"])
                delta["text"] = delta["text"].upper()

            @hookimpl
            def session_update(self, update):
                if update["kind"] == "agent_message":
                    update["text"] = update["text"].replace("SECRET", "***")

            @hookimpl
            def on_shutdown(self):
                log("".join(BATCHES), len(BATCHES) < 400)
        """,
    )
    words = " ".join(["a"] * 400 + ["secret"])
    model.push(say(words))
    client = place.crow()
    session = client.new_session()
    client.prompt(session, "hello")
    assert client.text() == words.upper().replace("SECRET", "***")
    client.close()
    assert place.lines() == [f"{words} True"]


def test_an_answer_in_python_streams(place: Place) -> None:
    place.plugin(
        "answers",
        """
        class Plugin:
            @hookimpl
            async def call_llm(self, session, request, deltas):
                if request["model"]["id"] != "test/scripted":
                    return None
                for word in ("one ", "two ", "three"):
                    deltas.push(word)
                    await asyncio.sleep(0.01)
                return {"finish": "stop"}
        """,
    )
    client = place.crow()
    assert client.prompt(client.new_session(), "hello") == "end_turn"
    assert client.text() == "one two three"
    assert len(client.of_kind("agent_message_chunk")) > 1


def test_a_plugin_may_ask_and_complete(place: Place, model: ModelServer) -> None:
    place.plugin(
        "completes",
        """
        class Plugin:
            @hookimpl
            async def before_run(self, agent, session, user_input):
                answer = await agent.complete(session, "Summarise: " + user_input)
                session.inject("summary", answer["message"]["content"])
        """,
    )
    model.push(say("short"), say("fine"))
    client = place.crow()
    client.prompt(client.new_session(), "a long text")
    assert texts(model.requests[0], "user") == ["Summarise: a long text"]
    assert "short" in str(model.requests[1]["messages"])
    assert client.text() == "fine"


def test_a_function_that_holds_the_stream(place: Place, model: ModelServer) -> None:
    """A refusal in a wrapper is a refusal: the user reads why, nothing is sent."""
    place.plugin(
        "gate",
        """
        class Plugin:
            @hookimpl(wrapper=True)
            def call_llm(self, request):
                raise Refused("not on a Sunday")
                yield
        """,
    )
    client = place.crow()
    with pytest.raises(AcpError, match="not on a Sunday") as refused:
        client.prompt(client.new_session(), "hello")
    assert "Refused" not in str(refused.value)
    assert model.requests == []


