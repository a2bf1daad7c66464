"""What plugins can do beyond the samples."""

from __future__ import annotations

import threading

import pytest
from acp_client import AcpError
from conftest import Place
from model_server import ModelServer, Reply, call, say, texts


def test_plugins_come_and_go_while_it_runs(place: Place, model: ModelServer) -> None:
    place.plugin(
        "nest",
        """
        class Egg:
            def __init__(self):
                self.hatched = 0

            @hookimpl
            def register_tools(self):
                def peep() -> str:
                    "Peeps."
                    self.hatched += 1
                    return "peep"
                return peep

            @hookimpl
            def after_turn(self):
                log("egg")

        class Plugin:
            egg = Egg()

            @hookimpl
            async def after_run(self, agent, session):
                pm = agent._pm
                if not pm.is_registered(self.egg):
                    log(pm.register(self.egg), pm.has_plugin("Egg"), pm.get_name(self.egg), "Egg" in pm.order_of("after_turn"))
                    try:
                        pm.register(self.egg)
                    except ValueError as error:
                        log(error)
                    await agent.refresh()
                else:
                    log(pm.unregister(self.egg) is self.egg, self.egg.hatched, pm.hasplugin("Egg"))
                    pm.set_blocked("Egg")
                    log(pm.register(self.egg), pm.is_blocked("Egg"), pm.unblock("Egg"))
        """,
    )
    model.push(say("one"), call("peep"), say("two"))
    client = place.crow()
    session = client.new_session()
    client.prompt(session, "hello")
    client.prompt(session, "again")
    assert texts(model.requests[2], "tool") == ["peep"]
    assert place.lines() == [
        "Egg True Egg True",
        "Plugin already registered under a different name: Egg",
        "egg",
        "egg",
        "True 1 False",
        "None True True",
    ]


def test_hooks_that_call_themselves_end(place: Place, model: ModelServer) -> None:
    place.plugin(
        "loops",
        """
        DEPTH = []

        class Plugin:
            @hookimpl
            async def after_turn(self, agent, session):
                DEPTH.append(1)
                try:
                    await agent.hook.after_turn(agent=agent, session=session, usage={})
                except HookError as error:
                    log(len(DEPTH), "after_turn" in str(error))
        """,
    )
    model.push(say("fine"))
    client = place.crow()
    assert client.prompt(client.new_session(), "hello") == "end_turn"
    assert place.lines() == ["8 True"]


def test_the_session_goes_along_with_tasks(place: Place, model: ModelServer) -> None:
    place.plugin(
        "tasks",
        """
        class Plugin:
            @hookimpl
            async def before_run(self, agent, session):
                async def later():
                    await asyncio.sleep(0)
                    return agent._session_id == session.id

                def elsewhere():
                    session.notify("from another thread")
                    return agent._session_id == session.id

                log(await asyncio.create_task(later()), await asyncio.to_thread(elsewhere))
        """,
    )
    model.push(say("fine"))
    client = place.crow()
    client.prompt(client.new_session(), "hello")
    assert place.lines() == ["True True"]
    assert "from another thread" in client.notices()


def test_wrappers_of_the_old_style_and_marks_of_pluggy(place: Place, model: ModelServer) -> None:
    place.plugin(
        "old",
        """
        import pluggy
        mark = pluggy.HookimplMarker("crow-acp")

        class Plugin:
            @mark
            def after_turn(self, agent):
                return 1

            @mark(hookwrapper=True, specname="after_turn")
            def around(self, usage):
                outcome = yield
                log(outcome.get_result())
                outcome.force_result([2])

            @mark(wrapper=True, tryfirst=True, specname="after_turn")
            def outermost(self):
                log((yield))
                return []
        """,
    )
    model.push(say("fine"))
    client = place.crow()
    client.prompt(client.new_session(), "hello")
    assert place.lines() == ["[1]", "[2]"]


def test_questions_and_budgets(place: Place, model: ModelServer) -> None:
    place.plugin(
        "asks",
        """
        class Plugin:
            @hookimpl(budget=1)
            async def before_run(self, agent, session):
                chosen = await agent.ask(session, "Go on?", ["yes", {"id": "no", "kind": "reject_once"}], text="Think.")
                log(chosen)
                # Waiting for a model does not count either.
                answer = await agent.complete(session, [{"role": "user", "content": "slow"}])
                log(answer["message"]["content"], answer["usage"]["input_tokens"])

            @hookimpl(budget=0.2)
            async def after_turn(self):
                await asyncio.sleep(30)
        """,
    )
    released = threading.Event()
    threading.Timer(2, released.set).start()
    model.push(Reply(text="a b c", hold=released), say("fine"))
    client = place.crow()
    session = client.new_session()
    with pytest.raises(AcpError, match="plugin `asks` ran out of time in `after_turn`"):
        client.prompt(session, "hello")
    assert place.lines() == ["yes", "a b c 10"]
    assert "suspended" not in client.notices()


def test_it_takes_a_tool_call_apart(place: Place, model: ModelServer) -> None:
    place.plugin(
        "gates",
        """
        class Plugin:
            @hookimpl
            def register_tools(self):
                @tool(read_only=True)
                def double(n: int) -> int:
                    return 2 * n
                return [double]

            @hookimpl
            async def before_tool_call(self, call):
                if call["arguments"]["n"] == 1:
                    call["arguments"]["n"] = 21
                elif call["arguments"]["n"] == 2:
                    return {"deny": "two is too many"}
                elif call["arguments"]["n"] == 3:
                    return {"answer": "three"}

            @hookimpl
            async def after_tool_call(self, call, outcome):
                outcome["text"] += "!"
        """,
    )
    model.push(call("double", n=1), call("double", n=2), call("double", n=3), say("fine"))
    client = place.crow()
    client.prompt(client.new_session(), "hello")
    answers = texts(model.requests[3], "tool")
    assert answers[0] == "42!"
    assert "two is too many" in answers[1]
    assert answers[2].startswith("three")


def test_decisions(place: Place, model: ModelServer) -> None:
    place.plugin(
        "decides",
        """
        class Plugin:
            @hookimpl
            async def before_stop(self, session, reason):
                if len(session.messages) < 4:
                    log(reason)
                    return "Are you sure?"

            @hookimpl
            async def before_turn(self, turn):
                if turn["number"] == 3:
                    return {"stop": "max_turn_requests", "message": "enough"}

            @hookimpl
            async def prepare_request(self, request):
                request["parameters"]["temperature"] = 0.25
                request["system"].append({"id": "x", "text": "Be precise."})
                request["tools"] = [tool for tool in request["tools"] if tool.name == "read"]

            @hookimpl
            async def after_llm_response(self, response):
                response["message"]["content"] += " (checked)"
        """,
    )
    model.otherwise = say("yes")
    client = place.crow()
    session = client.new_session()
    assert client.prompt(session, "hello") == "end_turn"
    assert place.lines() == ["end_turn"]
    first, second = model.requests
    assert first["temperature"] == 0.25
    assert [entry["function"]["name"] for entry in first["tools"]] == ["read"]
    assert "Be precise." in texts(first, "system")[0]
    assert texts(second, "assistant") == ["yes (checked)"]
    assert texts(second, "user")[-1].endswith("Are you sure?")


def test_hooks_are_called_with_what_they_edit(place: Place, model: ModelServer) -> None:
    place.plugin(
        "calls",
        """
        class Plugin:
            @hookimpl
            async def before_llm_request(self, messages):
                messages.append({"role": "user", "content": "more"})

            @hookimpl
            async def before_run(self, agent, session):
                mine = [{"role": "user", "content": "first"}]
                given = mine[0]
                log(await agent.hook.before_llm_request(agent=agent, session=session, messages=mine))
                log([message["content"] for message in mine], mine[0] is given)
                for wrong in ("agent.hook.no_such_hook", "agent.hook.before_run(1)", "agent.hook.after_turn(agent=agent)"):
                    try:
                        await eval(wrong)
                    except (AttributeError, TypeError) as error:
                        log(error)
        """,
    )
    model.push(say("fine"))
    client = place.crow()
    client.prompt(client.new_session(), "hello")
    assert place.lines() == [
        "None",
        "['first', 'more'] True",
        "there is no hook `no_such_hook`",
        "a hook takes its arguments by name: before_run(session=session, …)",
        "after_turn: expected arguments by name, got a dict without `session`",
    ]
