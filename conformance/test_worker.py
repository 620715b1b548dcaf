"""The model's own process dies, and nothing else does: calls that had heard nothing are
answered by the next one, others end in their dialect's own error, hosted models notice
nothing, and no process or file is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import signal
import threading
import time

import anthropic
import openai
import pytest

from asks import MODEL, ask
from clients import MAIN, OpenAI
from outcrop import Home, Server, poll
from scripted import TEXT, Scripted
from test_streams import STREAMS, Sdks

#: Fewer slots than streams: when the worker dies, some have begun and others wait.
SLOTS = 8
TOKENS = 6
#: What a new call may take after a death, beside loading the model.
BACK_SECONDS = 3
LONG = ask("Count from one to one hundred in words.", max_tokens=400)
HELLO = ask("Hello", max_tokens=1)
#: A worker's line for each call it gets.
BEGINS = "a call begins"


def config(more: str = "", upstream: Scripted | None = None) -> str:
    text = f'models = ["{MODEL}"]\n[engine]\n{more}\n'
    if upstream:
        text += f'[providers.far]\ndialect = "openai-chat"\nbase_url = "{upstream.url}/v1"\nmodels = ["gated"]\n'
    return text


class JsonLog(Home):
    """Its servers log one JSON object a line, and their workers the calls they get."""

    def environment(self) -> dict[str, str]:
        log = {"OUTCROP_LOG_FORMAT": "json", "OUTCROP_LOG": "info,engine::worker=debug"}
        return super().environment() | log


@pytest.fixture
def launch(tmp_path):
    """Starts servers, and ends those a failed test left."""
    started: list[Server] = []

    def start(text: str = config()) -> Server:
        server = Server(JsonLog(tmp_path / f"home-{len(started)}"), text)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        if server.process.poll() is None:
            server.crash()


def children(pid: int) -> list[int]:
    """The processes that `pid` started, ended ones not yet waited for among them."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            found += [int(child) for child in (task / "children").read_text().split()]
        except FileNotFoundError:
            pass  # the thread has ended
    return found


def worker(server: Server) -> int:
    """The process id of the one model's worker."""
    (pid,) = poll(lambda: children(server.process.pid), 10, "a worker")
    return pid


def lives(pid: int) -> bool:
    """Whether a process runs. One that nobody waited for does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def status(pid: int, field: str) -> str:
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(field + ":"))


def unix_sockets(pid: int) -> int:
    """How many sockets to other processes here it has open (clients' are TCP)."""
    known = {line.split()[6] for line in pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]}
    targets = [os.readlink(entry) for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
    return sum(target.removeprefix("socket:[").removesuffix("]") in known for target in targets)


def cpu_seconds(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def logged(server: Server, what: str) -> list[dict]:
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("message") == what]


@pytest.mark.parametrize("name", MAIN)
def test_a_stream_that_was_cut_raises(launch, name):
    """Every SDK raises its own error, and works again at once."""
    server = launch()
    client = MAIN[name](server)
    first, killed = worker(server), []

    def kill(_: str) -> None:
        if not killed:
            killed.append(True)
            os.kill(first, signal.SIGKILL)

    with pytest.raises(Exception) as error:
        client.stream(LONG, kill)
    assert not isinstance(error.value, AssertionError), "the stream ended as if all were well"
    if name in TYPED:
        assert isinstance(error.value, TYPED[name]), type(error.value)
    assert client.ask(HELLO).output_tokens == 1
    assert worker(server) != first
    server.stop()


#: What the Python SDKs raise for an error in a stream; botocore's is made at run time.
TYPED = {"openai": openai.APIError, "anthropic": anthropic.APIStatusError}


def test_thirty_two_streams_two_deaths_and_a_bystander(launch):
    upstream = Scripted()
    server = launch(config(f"slots = {SLOTS}", upstream))
    assert OpenAI(server).ask(HELLO).output_tokens == 1
    poll(lambda: done(server, 1), 10, "the first call's line")
    before = unix_sockets(server.process.pid)
    for how in (signal.SIGKILL, signal.SIGABRT):
        calls = len(logged(server, "call"))
        begun, bystander = threading.Event(), []
        hosted = threading.Thread(
            target=lambda begun=begun, bystander=bystander: bystander.append(
                OpenAI(server).stream(ask("Hello", model="far/gated"), lambda _: begun.set())
            )
        )
        hosted.start()
        assert begun.wait(30)
        whole, cut = asyncio.run(streams_through_a_death(server, how))
        for _ in range(10):
            upstream.acknowledged.release()
        hosted.join(30)
        assert bystander[0].text == TEXT, "a hosted model's stream was disturbed"

        assert len(whole) + len(cut) == STREAMS
        # Each had a slot and was being answered; those that waited are answered in full.
        assert 1 <= len(cut) <= SLOTS, cut
        for error in cut:
            assert isinstance(error, (openai.APIError, anthropic.APIStatusError)), repr(error)
        assert all(stream.finish in ("stop", "length", "end_turn", "max_tokens") for stream in whole)

        lines = poll(lambda: done(server, calls + STREAMS + 1), 10, "a line for each call")[calls:]
        ids = [line["request_id"] for line in lines]
        assert len(set(ids)) == len(ids) == STREAMS + 1, "each call is counted once"
        ours = [line for line in lines if line["model"] == MODEL]
        assert sum(line["status"] == "ok" for line in ours) == len(whole)
        tokens = sum(line["output_tokens"] for line in ours if line["status"] == "ok")
        assert tokens == sum(stream.output_tokens or TOKENS for stream in whole)
        assert all(line["error_kind"] == "unavailable" for line in ours if line["status"] != "ok")
        death = logged(server, "the model's worker died")[-1]
        assert how.name in death["cause"] and death["calls_ended"] == len(cut), death
        assert death["calls_sent_again"] >= STREAMS - SLOTS, death
    assert len(logged(server, "the model's worker died")) == 2
    assert len(children(server.process.pid)) == 1, "no zombie is left"
    assert unix_sockets(server.process.pid) == before, "no socket of a dead worker is left"
    upstream.close()
    server.stop()


def done(server: Server, count: int) -> list[dict] | None:
    lines = logged(server, "call")
    return lines if len(lines) >= count else None


async def streams_through_a_death(server: Server, how: signal.Signals):
    """Runs the streams, kills the worker once all slots answer; those that ended well,
    and the errors of the others."""
    sdks, begun, earlier = Sdks(server), [], len(logged(server, BEGINS))

    async def one(n: int):
        # Those that come first answer for so long that they are alive when the worker dies.
        first = asyncio.Event()
        task = asyncio.create_task(sdks.stream(n, TOKENS if n >= SLOTS else 400, first=first))
        waiting = asyncio.create_task(first.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        begun.append(n)
        return await task

    early = [asyncio.create_task(one(n)) for n in range(SLOTS)]
    while len(begun) < SLOTS:
        await asyncio.sleep(0.01)
    late = [asyncio.create_task(one(n)) for n in range(SLOTS, STREAMS)]
    arrived = earlier + STREAMS
    await asyncio.to_thread(poll, lambda: len(logged(server, BEGINS)) >= arrived, 60, "all calls at the worker")
    os.kill(worker(server), how)
    ended = await asyncio.gather(*early, *late, return_exceptions=True)
    return [end for end in ended if not isinstance(end, Exception)], [e for e in ended if isinstance(e, Exception)]


def test_a_new_call_is_answered_soon(launch):
    began = time.monotonic()
    server = launch()
    loading = time.monotonic() - began
    for _ in range(2):
        os.kill(worker(server), signal.SIGKILL)
        began = time.monotonic()
        assert OpenAI(server).ask(HELLO).output_tokens == 1
        assert time.monotonic() - began < BACK_SECONDS + loading
    server.stop()


def test_a_call_that_ends_two_workers_ends(launch):
    """It would end every other, too: it is not sent to a third."""
    server = launch(config("context_tokens = 8192"))
    long = ask("word " * 6000, max_tokens=1)
    problems = []
    client = OpenAI(server)
    thread = threading.Thread(target=lambda: problems.append(client.problem(lambda: client.ask(long))))
    thread.start()
    last = None
    for _ in range(2):
        pid = poll(lambda last=last: [pid for pid in children(server.process.pid) if pid != last], 20, "a worker")[0]
        poll(lambda: server.health("/readyz") == 200, 20, "ready")
        idle = cpu_seconds(pid)
        poll(lambda pid=pid, idle=idle: cpu_seconds(pid) > idle + 0.2, 20, "the prompt being computed")
        os.kill(pid, signal.SIGABRT)
        last = pid
    thread.join(30)
    (problem,) = problems
    assert problem.status == 500 and problem.cls == "InternalServerError", problem
    assert OpenAI(server).ask(HELLO).output_tokens == 1
    server.stop()


def test_a_worker_that_hangs_is_replaced(launch):
    """It lives, and says nothing: its calls end or go to the next one, as after a death."""
    server = launch(config("silent_worker_ms = 3000\nstalled_reader_ms = 2000"))
    first, stopped = worker(server), []

    def stop(_: str) -> None:
        if not stopped:
            stopped.append(True)
            os.kill(first, signal.SIGSTOP)

    with pytest.raises(openai.APIError):
        OpenAI(server).stream(LONG, stop)
    assert OpenAI(server).ask(HELLO).output_tokens == 1
    assert not lives(first) and worker(server) != first
    assert logged(server, "the model's worker hangs; it is cut off")
    server.stop()


def test_readiness_tells_of_a_restart(launch):
    server = launch()
    # The second death in a row: a pause before the next worker.
    for _ in range(2):
        poll(lambda: server.health("/readyz") == 200, 20, "ready")
        os.kill(worker(server), signal.SIGKILL)
        poll(lambda: server.health("/readyz") == 503, 5, "not ready")
        assert server.health("/livez") == 200
    poll(lambda: server.health("/readyz") == 200, 20, "ready again")
    server.stop()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_gateway(launch, how):
    server = launch()
    pid = worker(server)
    begun = threading.Event()
    client = OpenAI(server)

    def stream() -> None:
        try:
            client.stream(LONG, lambda _: begun.set())
        except openai.APIError:
            pass  # killed with the gateway
        except Exception as error:
            assert how == signal.SIGKILL, error

    thread = threading.Thread(target=stream)
    thread.start()
    assert begun.wait(30)
    if how == signal.SIGINT:
        # As Ctrl-C in a terminal does: to everybody. The worker leaves it to the gateway.
        os.kill(pid, how)
        assert lives(pid)
        server.process.send_signal(how)
        server.process.send_signal(how)
    else:
        server.process.send_signal(how)
    assert server.process.wait(60) == (-9 if how == signal.SIGKILL else 0)
    poll(lambda: not lives(pid), 5, "the worker gone")
    thread.join(30)


def test_the_worker_is_shut_in_unless_told_otherwise(launch):
    server = launch()
    pid = worker(server)
    assert (status(pid, "NoNewPrivs"), status(pid, "Seccomp")) == ("1", "2")
    assert pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "500"
    assert status(server.process.pid, "Seccomp") == "0"
    assert logged(server, "the worker is shut in as far as this system can")
    server.stop()
    free = launch(config("sandbox = false\nniceness = 5"))
    pid = worker(free)
    assert status(pid, "Seccomp") == "0"
    assert os.getpriority(os.PRIO_PROCESS, pid) == 5
    assert OpenAI(free).ask(HELLO).output_tokens == 1
    free.stop()


def test_a_model_that_cannot_be_loaded_is_said(tmp_path, make_home):
    home = make_home("broken", share_models=False)
    (home.folder / "broken.gguf").write_bytes(b"GGUF" + bytes(64))
    (home.folder / "outcrop.toml").write_text('models = ["broken.gguf"]\n[server]\nlisten = "127.0.0.1:0"\ntls = false\n')
    process = home.start("serve")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1 and b"broken.gguf" in err, err
    assert b"panicked" not in err


def test_a_worker_is_not_for_people(make_home):
    home = make_home("by-hand", share_models=False)
    process = home.start("worker")
    _, err = process.communicate(timeout=10)
    assert process.returncode == 1 and b"outcrop serve" in err
