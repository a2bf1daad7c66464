"""Plugins that do not work: named, reported, survived."""

from __future__ import annotations

import time

import pytest
from acp_client import AcpError, wait_for
from conftest import Place
from model_server import ModelServer, say

#: What still works beside them.
GOOD = """
class Plugin:
    @hookimpl
    def after_turn(self):
        log("good")
"""

BROKEN = {
    "import-error": ("import nothing_like_that", "nothing_like_that"),
    "syntax-error": ("def f(:", "SyntaxError"),
    "raising-constructor": ("class Plugin:\n    def __init__(self):\n        raise ValueError('no good')", "no good"),
    "no-such-class": ("class Other: ...", "Plugin"),
    "exits": ("import sys\nsys.exit(3)", "SystemExit(3)"),
    "unknown-argument": (
        "class Plugin:\n    @hookimpl\n    def after_turn(self, agnet): ...",
        "there is no argument `agnet`; it has agent, session, usage",
    ),
    "no-yield": (
        "class Plugin:\n    @hookimpl(wrapper=True)\n    def after_turn(self, agent): ...",
        "no `yield`",
    ),
    "async-for-sync": (
        "class Plugin:\n    @hookimpl\n    async def session_update(self, update): ...",
        "plain `def`s",
    ),
    "needs-arguments": ("class Plugin:\n    def __init__(self, path): ...", "path"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_it_is_left_out_and_named(place: Place, model: ModelServer, name: str) -> None:
    source, said = BROKEN[name]
    place.plugin(name, source)
    place.plugin("good", GOOD)
    model.push(say("fine"))
    client = place.crow()
    client.prompt(client.new_session(), "hello")
    client.wait_until(lambda: f"plugin `{name}`" in client.notices())
    assert said in client.notices()
    assert client.text() == "fine"
    assert place.lines() == ["good"]
    assert client.close() == 0


def test_a_hook_that_does_not_exist(place: Place, model: ModelServer) -> None:
    place.plugin(
        "typo",
        """
        class Plugin:
            @hookimpl
            def after_trun(self): ...

            @hookimpl
            def after_turn(self):
                log("the rest works")

            @hookimpl(optionalhook=True)
            def of_another_time(self): ...
        """,
    )
    model.push(say("fine"))
    client = place.crow()
    client.prompt(client.new_session(), "hello")
    assert "plugin `typo` implements `after_trun`, which is no hook: did it mean `after_run`?" in client.notices()
    assert "of_another_time" not in client.notices()
    assert place.lines() == ["the rest works"]


def test_exits_and_kills_inside_hooks(place: Place, model: ModelServer) -> None:
    place.plugin(
        "exits",
        """
        import sys

        class Plugin:
            @hookimpl
            async def after_run(self):
                asyncio.get_running_loop().create_task(self.later())
                sys.exit(1)

            @hookimpl
            def on_cancel(self): ...

            async def later(self):
                sys.exit(2)

            @hookimpl
            def before_run(self, user_input):
                if user_input == "refuse":
                    sys.exit("no more")
        """,
    )
    model.otherwise = say("fine")
    client = place.crow()
    session = client.new_session()
    assert client.prompt(session, "hello") == "end_turn"
    client.prompt(session, "refuse")
    assert "plugin `exits` in `before_run`: SystemExit: no more" in client.text() + client.notices()
    assert client.prompt(session, "hello") == "end_turn"
    assert client.text().count("fine") == 2
    assert client.close() == 0


def test_what_it_prints_stays_out_of_the_protocol(place: Place, model: ModelServer) -> None:
    place.plugin(
        "chatty",
        """
        import subprocess
        print("while it is imported")

        class Plugin:
            @hookimpl
            def after_turn(self):
                print("in a hook")
                subprocess.run(["echo", "from a child"])
        """,
    )
    model.push(say("fine"))
    client = place.crow()
    client.prompt(client.new_session(), "hello")
    assert client.text() == "fine"
    assert client.close() == 0
    assert "in a hook" in "".join(client.errors)


def test_a_thread_that_does_not_end(place: Place, model: ModelServer) -> None:
    place.plugin(
        "thread",
        """
        import threading, time

        class Plugin:
            @hookimpl
            def on_startup(self):
                threading.Thread(target=time.sleep, args=(3600,)).start()

            @hookimpl
            def on_shutdown(self):
                log("shutdown")
        """,
    )
    client = place.crow()
    client.new_session()
    began = time.monotonic()
    assert client.close(30) == 0
    assert time.monotonic() - began < 20
    assert place.lines() == ["shutdown"]


@pytest.mark.parametrize("blocks", ["time.sleep(3600)", "exec('while True: pass')", "re.match('(a+)+$', 'a' * 64 + 'b')"])
def test_one_that_blocks_for_ever(place: Place, model: ModelServer, blocks: str) -> None:
    place.plugin(
        "blocks",
        f"""
        import re, time

        class Plugin:
            @hookimpl(budget=1)
            def after_turn(self, session):
                log("in")
                {blocks}

            @hookimpl
            def guard_tool_call(self): ...
        """,
    )
    model.otherwise = say("fine")
    client = place.crow()
    session = client.new_session()
    prompt = client.start_prompt(session, "hello")
    wait_for(lambda: place.lines() == ["in"])
    with pytest.raises(AcpError, match="plugin `blocks` ran out of time in `after_turn`"):
        client.wait(prompt)
    client.wait_until(lambda: "plugins in Python are suspended" in client.notices())
    # The agent goes on without.
    client.updates.clear()
    assert client.prompt(session, "again") == "end_turn"
    assert client.text() == "fine"
    began = time.monotonic()
    client.close(30)
    assert time.monotonic() - began < 15


def test_one_that_blocks_for_a_while(place: Place, model: ModelServer) -> None:
    place.plugin(
        "pauses",
        """
        import time

        class Plugin:
            @hookimpl(budget=0.5)
            def after_turn(self, session):
                time.sleep(3)

            @hookimpl
            def before_run(self):
                log("run")
        """,
    )
    model.otherwise = say("fine")
    client = place.crow()
    session = client.new_session()
    with pytest.raises(AcpError, match="plugin `pauses` ran out of time"):
        client.prompt(session, "hello")
    client.wait_until(lambda: "plugins in Python are back" in client.notices())
    assert "suspended" in client.notices()
    with pytest.raises(AcpError, match="ran out of time"):
        client.prompt(session, "again")
    assert place.lines() == ["run", "run"]


def test_an_import_that_does_not_end(place: Place, model: ModelServer) -> None:
    place.plugin("sleeps", "import time\ntime.sleep(3600)")
    model.push(say("fine"))
    client = place.crow()
    client.prompt(client.new_session(), "hello")
    assert "still being loaded" in client.notices()
    assert client.text() == "fine"
    client.close(30)


def test_a_tool_that_gives_nonsense(place: Place, model: ModelServer) -> None:
    place.plugin(
        "nonsense",
        """
        class Plugin:
            @hookimpl
            def select_model(self):
                return 3

            @hookimpl
            def on_error(self, error):
                log(error["plugin"], error["hook"])
        """,
    )
    client = place.crow()
    session = client.new_session()
    client.prompt(session, "hello")
    assert "plugin `nonsense` in `select_model`: expected a model (PROVIDER/MODEL), got 3" in client.text()
    assert place.lines() == ["nonsense select_model"]
    assert model.requests == []
