"""Nobody can stop admission by being slow, large, many or wrong; and nothing that is answered is ever cut."""

import asyncio
import gzip
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from podfacts.serving.listener import CannotBind, Limits, bind
from podfacts.serving.messages import Reply, Request
from tests.server.wire import AUTHORITY, HOST, NAME, Client, chunked, post, serving, trusting

KIB = 1024
MIB = 1024 * 1024

QUICK = Limits(handshake=0.3, read=0.3, write=0.3, keep_alive=0.6, linger=0.2)
PATIENT = Limits(handshake=20.0, read=20.0, write=20.0)


def test_the_defaults_suit_an_api_server() -> None:
    limits = Limits()
    assert limits.keep_alive > 120  # It closes idle connections itself after 90 s.
    assert limits.body == 8 * MIB
    assert limits.write >= 30  # The longest timeoutSeconds.
    assert (limits.handshake, limits.read, limits.connections) == (5.0, 10.0, 1024)


# Slow.


@pytest.mark.fault("T26")
async def test_slow_headers_are_cut() -> None:
    async with serving(limits=QUICK) as server:
        client = await server.connect()
        taken = await client.drip(post(b"x" * 10) * 10, pause=0.05)
        assert 0.25 < taken < 1.0
        assert server.cut == ["reading"]
        await server.still_serves()


@pytest.mark.fault("T26")
async def test_a_slow_body_is_cut_and_never_looked_at() -> None:
    seen: list[Request] = []
    async with serving(lambda request: seen.append(request) or Reply(200), QUICK) as server:  # type: ignore[func-returns-value]
        client = await server.connect()
        await client.send(post(b"x" * 1000)[:-999])
        taken = await client.drip(b"x" * 500, pause=0.05)
        assert 0.2 < taken < 1.0
        assert (server.cut, server.rejected) == (["reading"], [])
        assert seen == []
        await server.still_serves()


async def test_a_body_that_stops_is_cut() -> None:
    async with serving(limits=QUICK) as server:
        client = await server.connect()
        await client.send(post(b"x" * 1000)[:-1])
        assert await client.ended(within=1.0)
        assert server.cut == ["reading"]


async def test_the_next_request_has_its_deadline_too() -> None:
    async with serving(limits=QUICK) as server:
        client = await server.connect()
        assert (await client.ask(b"first")).status == 200
        await client.send(b"POST /mutate HTT")
        assert await client.ended(within=0.55)  # Sooner than an idle connection would be closed.
        assert server.cut == ["reading"]


@pytest.mark.fault("T26")
async def test_who_does_not_begin_tls_is_cut() -> None:
    async with serving(limits=QUICK) as server:
        client = await server.connect_raw()
        assert server.listener.open_connections <= 1
        assert await client.ended(within=1.0)
        assert server.cut == ["handshake"]
        assert server.listener.open_connections == 0
        await server.still_serves()


@pytest.mark.fault("T26")
async def test_a_handshake_byte_by_byte_is_cut() -> None:
    async with serving(limits=QUICK) as server:
        client = await server.connect_raw()
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
        assert await client.drip(hello, pause=0.05) < 1.0
        assert server.cut == ["handshake"]


async def test_who_does_not_read_the_reply_is_cut() -> None:
    async with serving(lambda _request: Reply(200, bytes(32 * MIB)), QUICK) as server:
        client = await server.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(post(b""))
        await _until(lambda: server.cut == ["writing"], 2.0)
        assert server.listener.open_connections == 0
        await asyncio.sleep(0.05)
        assert server.rejected == []


async def test_a_reader_that_is_slow_but_in_time_gets_all_of_it() -> None:
    body = bytes(8 * MIB)
    async with serving(lambda _request: Reply(200, body), replace(QUICK, write=5.0)) as server:
        client = await server.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(post(b""))
        await asyncio.sleep(0.8)  # Longer than every other bound.
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert (await client.reply()).body == body
        assert server.cut == []


# Idle.


async def test_an_idle_connection_is_kept_and_then_closed() -> None:
    async with serving(limits=QUICK) as server:
        client = await server.connect()
        for _ in range(3):
            assert (await client.ask(b"again")).body == b"again"
            await asyncio.sleep(0.4)  # Beyond the deadline of a request, below keep-alive.
        began = time.monotonic()
        assert await client.ended(within=2.0)
        assert 0.1 < time.monotonic() - began < 0.6
        assert server.cut == []


async def test_a_connection_dialled_ahead_is_kept_as_long() -> None:
    async with serving(limits=QUICK) as server:
        client = await server.connect()
        assert not await client.ended(within=0.45)
        assert (await client.ask(b"x")).status == 200


async def test_the_end_of_idleness_does_not_cut_a_request_that_has_begun() -> None:
    async with serving(limits=replace(QUICK, read=5.0)) as server:
        client = await server.connect()
        request = post(b"late")
        await asyncio.sleep(0.5)
        await client.send(request[:20])
        await asyncio.sleep(0.5)  # Past keep-alive, counted from the start.
        await client.send(request[20:])
        assert (await client.reply()).body == b"late"


# Many.


@pytest.mark.fault("T27")
async def test_above_the_cap_the_one_that_waited_longest_makes_room() -> None:
    async with serving(limits=replace(PATIENT, connections=4)) as server:
        idle = [await server.connect() for _ in range(4)]
        begun = post(b"I have not waited longest any more")
        await idle[0].send(begun[:10])
        await _until(lambda: server.listener.in_flight == 1, 1.0)
        fifth = await server.connect()
        assert (await fifth.ask(b"served")).body == b"served"
        assert await idle[1].ended(within=1.0)
        assert server.cut == ["crowded_out"]
        assert server.listener.open_connections == 4
        await idle[0].send(begun[10:])
        assert (await idle[0].reply()).status == 200
        for client in idle[2:]:
            assert (await client.ask(b"unharmed")).status == 200


async def test_an_idle_connection_that_makes_room_is_told_goodbye() -> None:
    def connect_and_wait(port: int) -> bytes:
        with (
            socket.create_connection((HOST, port)) as plain,
            trusting(AUTHORITY.certificate_pem).wrap_socket(
                plain, server_hostname=NAME, suppress_ragged_eofs=False
            ) as secured,
        ):
            secured.sendall(post(b"x"))
            while secured.recv(1000).endswith(b"x"):
                pass
            return secured.recv(1000)  # Raises unless the other side says goodbye.

    async with serving(limits=replace(PATIENT, connections=1)) as server:
        waiting = asyncio.create_task(asyncio.to_thread(connect_and_wait, server.port))
        await _until(lambda: any(each.served for each in server.listener._open), 2.0)
        await server.still_serves()
        assert await asyncio.wait_for(waiting, 2.0) == b""


async def test_who_was_served_before_outlasts_a_crowd_of_strangers() -> None:
    async with serving(limits=replace(PATIENT, connections=8)) as server:
        known = [await server.connect() for _ in range(3)]
        for client in known:
            assert (await client.ask(b"x")).status == 200
        for _ in range(40):
            await server.connect()
        for client in known:
            assert (await client.ask(b"still here")).body == b"still here"
        for _ in range(8):  # If all were served, it is the oldest all the same.
            assert (await (await server.connect()).ask(b"x")).status == 200
        assert await known[0].ended(within=1.0)


async def test_a_newcomer_is_not_crowded_out_by_other_newcomers_while_served_ones_are_idle() -> None:
    async with serving(limits=replace(PATIENT, connections=8)) as server:
        known = [await server.connect() for _ in range(8)]
        for client in known:
            assert (await client.ask(b"x")).status == 200
        newcomers = [await server.connect_raw() for _ in range(2)]
        await asyncio.sleep(0.1)
        assert server.cut == ["crowded_out"] * 2
        assert [await each.ended(within=0.2) for each in (*newcomers, *known[:3])] == [
            *(False, False),
            *(True, True, False),
        ]


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02"], ids=["silent", "a part of a handshake"])
@pytest.mark.fault("T27")
async def test_a_flood_without_handshakes_does_not_stop_admission(sent: bytes) -> None:
    async with serving(limits=replace(PATIENT, connections=16)) as server:
        flood = [await server.connect_raw() for _ in range(200)]
        for client in flood:
            with suppress(ConnectionError):
                await client.send(sent)
        async with asyncio.timeout(2.0):
            await server.still_serves()
        assert server.listener.open_connections <= 16
        assert server.cut.count("crowded_out") >= 184
        for client in flood[:184]:
            assert await client.ended(within=1.0)


@pytest.mark.parametrize(
    "sent",
    [b"", post(b"")[:-9], post(b"x" * 100)[:-1]],
    ids=["idle", "in its headers", "in its body"],
)
@pytest.mark.fault("T26")
async def test_a_crowd_that_waits_does_not_stop_admission(sent: bytes) -> None:
    async with serving(limits=replace(PATIENT, connections=16)) as server:
        for _ in range(40):
            await (await server.connect()).send(sent)
        async with asyncio.timeout(2.0):
            await server.still_serves()
        assert server.listener.open_connections <= 16
        assert set(server.cut) == {"crowded_out"}


async def test_what_is_being_answered_is_not_crowded_out() -> None:
    body = bytes(16 * MIB)
    async with serving(lambda _request: Reply(200, body), replace(PATIENT, connections=2)) as server:
        busy = [await server.connect() for _ in range(2)]
        for client in busy:
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await client.send(post(b""))
        await _until(lambda: server.listener.in_flight == 2, 2.0)
        third = asyncio.create_task(server.connect())
        await asyncio.sleep(0.3)
        assert not third.done()  # It waits in the kernel's backlog.
        assert server.cut == []
        busy[0].writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert (await busy[0].reply()).body == body
        async with asyncio.timeout(2.0):
            assert (await (await third).ask(b"")).status == 200
        busy[1].writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert (await busy[1].reply()).body == body


@pytest.mark.fault("T34")
async def test_all_bodies_together_stay_within_memory() -> None:
    limits = replace(PATIENT, bodies=1 * MIB)
    held: list[int] = []
    async with serving(limits=limits) as server:

        async def watch() -> None:
            while True:
                held.append(server.listener._held)
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        body = bytes(900 * KIB)
        clients = [await server.connect() for _ in range(12)]
        request = post(body)
        for client in clients:
            await client.send(request[: 600 * KIB])
        await _until(lambda: server.listener._held > 1 * MIB, 5.0)
        replies = await asyncio.gather(*(_finish(client, request[600 * KIB :]) for client in clients))
        watching.cancel()
        assert replies == [len(body)] * 12
        assert server.listener._held == 0
        assert 1 * MIB < max(held) < 1 * MIB + 900 * KIB + 12 * 16 * KIB  # Of 10.5 MiB in all.


async def test_a_body_that_had_to_wait_behind_a_request_of_its_own_connection_goes_on() -> None:
    async with serving(limits=replace(PATIENT, bodies=1000)) as server:
        first, second = await server.connect(), await server.connect()
        begun = post(b"x" * 5000)
        await first.send(begun[:-1000])
        await _until(lambda: server.listener._held > 1000, 2.0)
        await second.send(post(b"whole") + begun[:-1000])
        assert (await second.reply()).body == b"whole"
        await _until(lambda: bool(server.listener._stalled), 2.0)
        await first.send(begun[-1000:])
        assert len((await first.reply()).body) == 5000
        await second.send(begun[-1000:])
        async with asyncio.timeout(2.0):
            assert len((await second.reply()).body) == 5000
        assert (server.listener._held, server.listener._stalled, server.listener._holding) == (0, {}, {})


# Large.


@pytest.mark.parametrize("size", [0, 1, 64 * KIB, 8 * MIB - 1, 8 * MIB])
@pytest.mark.fault("T21")
async def test_a_body_within_the_limit_is_read_whole(size: int) -> None:
    async with serving() as server:
        client = await server.connect()
        body = b"x" * size
        assert (await client.ask(body)).body == body
        await client.send(chunked(*([body] if body else [])))
        assert (await client.reply()).body == body


@pytest.mark.fault("T21")
async def test_a_length_above_the_limit_is_refused_at_once() -> None:
    async with serving() as server:
        client = await server.connect()
        await client.send(b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: 8388609\r\n\r\n")
        reply = await client.reply()
        assert (reply.status, reply.headers["connection"]) == (413, "close")
        assert b"allowed" not in reply.body
        assert server.rejected == ["too_large"]
        await server.still_serves()


async def test_the_length_refused_is_not_waited_for() -> None:
    async with serving(limits=replace(QUICK, read=20.0, keep_alive=20.0)) as server:
        client = await server.connect()
        await client.send(b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n")
        assert (await client.reply()).status == 413
        assert await client.ended(within=1.0)


@pytest.mark.fault("T21")
async def test_chunks_above_the_limit_are_refused_without_reading_the_rest() -> None:
    seen: list[Request] = []
    limits = replace(QUICK, body=1 * MIB, read=5.0)
    async with serving(lambda request: seen.append(request) or Reply(200), limits) as server:  # type: ignore[func-returns-value]
        client = await server.connect()
        refused = asyncio.create_task(client.reply())
        await client.send(b"POST /mutate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + bytes(64 * KIB) + b"\r\n"
        sent = 0
        with suppress(ConnectionError):
            while not refused.done() and sent < 64 * MIB:
                await client.send(chunk)
                sent += 64 * KIB
        assert (await refused).status == 413
        assert sent < 32 * MIB  # The kernel's buffers hold some of it.
        assert seen == []
        assert server.listener._held == 0
        assert server.rejected == ["too_large"]


async def test_nothing_is_decompressed() -> None:
    packed = gzip.compress(bytes(64 * MIB))
    async with serving() as server:
        client = await server.connect()
        await client.send(post(packed, "/mutate", "Content-Encoding: gzip"))
        assert (await client.reply()).body == packed


# Wrong.

GARBAGE = {
    "zeroes": bytes(1000),
    "noise": bytes(range(256)) * 8,
    "another version": b"POST /mutate HTTP/9.9\r\n\r\n",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a header without colon": b"POST /mutate HTTP/1.1\r\nHost\r\n\r\n",
    "a control character": b"POST /mutate HTTP/1.1\r\nHost: a\x1b[31mb\r\n\r\n",
    "a length that is no number": b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "the same length twice": b"POST /mutate HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "chunks and length": b"POST /mutate HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "a length in a trailer": chunked(b"ab")[:-2] + b"Content-Length: 2\r\n\r\n",
    "chunked, then something else": b"POST /mutate HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a folded header": b"POST /mutate HTTP/1.1\r\nHost: x\r\n y\r\nContent-Length: 1\r\n\r\na",
    "lines that end in a bare line feed": b"POST /mutate HTTP/1.1\nContent-Length: 1\n\na",
    "one line that ends in a bare line feed": b"POST /mutate HTTP/1.1\r\nHost: x\nContent-Length: 1\r\n\r\na",
    "a bare carriage return": b"POST /mutate HTTP/1.1\r\nHost: x\rContent-Length: 1\r\n\r\na",
    "a space before the colon": b"POST /mutate HTTP/1.1\r\nContent-Length : 1\r\n\r\na",
    "a signed length": b"POST /mutate HTTP/1.1\r\nContent-Length: +1\r\n\r\na",
    "a length beyond all numbers": b"POST /mutate HTTP/1.1\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\na",
    "chunks that end in bare line feeds": b"POST /mutate HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\na\n0\n\n",
    "an upgrade with a body": post(
        b"GET / HTTP/1.1\r\n\r\n", "/mutate", "Connection: upgrade", "Upgrade: h2c"
    ),
    "without a version": b"POST /mutate\r\n\r\n",
    "a chunk without length": b"POST /mutate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "another transfer encoding": b"POST /mutate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nxyz\r\n",
}


TOO_LONG = {
    "a long line": b"POST /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    "a long header": b"POST /mutate HTTP/1.1\r\nHost: " + b"a" * 100_000 + b"\r\n\r\n",
    "many headers": b"POST /mutate HTTP/1.1\r\n" + b"A: b\r\n" * 10_000 + b"\r\n",
    "a header that does not end": b"POST /mutate HTTP/1.1\r\nA" + b"a" * 100_000,
}


@pytest.mark.parametrize("sent", TOO_LONG.values(), ids=TOO_LONG.keys())
async def test_headers_above_the_limit_get_a_431_and_the_end(sent: bytes) -> None:
    async with serving(limits=QUICK) as server:
        client = await server.connect()
        await client.send(sent)
        assert (await client.reply()).status == 431
        assert await client.ended(within=1.0)
        assert server.rejected == ["not_http"]
        await server.still_serves()


@pytest.mark.parametrize("sent", GARBAGE.values(), ids=GARBAGE.keys())
@pytest.mark.fault("T11")
async def test_bad_http_gets_a_400_and_the_end(sent: bytes) -> None:
    async with serving(limits=QUICK) as server:
        client = await server.connect()
        await client.send(sent)
        reply = await client.reply()
        assert reply.status == 400
        assert b"allowed" not in reply.body
        assert "retry-after" not in reply.headers
        assert await client.ended(within=1.0)
        assert server.rejected == ["not_http"]
        await server.still_serves()


async def test_a_body_that_turns_bad_on_its_way_is_never_looked_at() -> None:
    seen: list[Request] = []
    async with serving(lambda request: seen.append(request) or Reply(200), QUICK) as server:  # type: ignore[func-returns-value]
        client = await server.connect()
        await client.send(chunked(b"good")[:-5])
        await asyncio.sleep(0.05)
        await client.send(b"no size\r\n")
        assert (await client.reply()).status == 400
        assert (server.cut, server.rejected) == ([], ["not_http"])
        assert seen == []
        await server.still_serves()


@pytest.mark.parametrize(
    "sent", [b"GET /mutate HTTP/1.1\r\nHost: x\r\n\r\n", bytes(500), b"\x15\x03\x01\x00\x02\x02\x28"]
)
async def test_what_is_not_tls_ends_in_the_handshake(sent: bytes) -> None:
    async with serving(limits=QUICK) as server:
        client = await server.connect_raw()
        await client.send(sent)
        with suppress(ConnectionError):  # What OpenSSL says to it, an alert, is read away.
            async with asyncio.timeout(1.0):
                await client.reader.read()
        await _until(lambda: server.cut == ["handshake"], 1.0)
        await server.still_serves()


async def test_a_truncated_body_is_never_looked_at() -> None:
    seen: list[Request] = []
    async with serving(lambda request: seen.append(request) or Reply(200), QUICK) as server:  # type: ignore[func-returns-value]
        for cut in (post(b"x" * 1000)[:-1], chunked(b"x" * 1000)[:-1], post(b"x" * MIB)[:-1]):
            client = await server.connect()
            await client.send(cut)
            await client.close()
        await _until(lambda: server.listener.open_connections == 0, 1.0)
        assert seen == []
        assert server.listener._held == 0
        assert server.rejected == []
        await server.still_serves()


async def test_a_connection_reset_in_every_place_does_no_harm() -> None:
    async with serving(lambda request: Reply(200, request.body * 100), QUICK) as server:
        request = post(b"x" * 100 * KIB)
        for length in (0, 1, 30, 60, 200, 50 * KIB, len(request)):
            client = await server.connect()
            await client.send(request[:length])
            await asyncio.sleep(0.02)
            client.writer.transport.abort()
        await _until(lambda: server.listener.open_connections == 0, 1.0)
        assert server.listener._held == 0
        assert server.rejected == []
        await server.still_serves()


async def test_a_failure_of_ours_is_a_500_and_is_told() -> None:
    def fails(request: Request) -> Reply:
        if request.body == b"fail":
            raise RuntimeError("a bug")
        return Reply(200)

    async with serving(fails) as server:
        client = await server.connect()
        reply = await client.ask(b"fail")
        assert (reply.status, reply.headers["connection"]) == (500, "close")
        assert b"allowed" not in reply.body
        assert b"a bug" not in reply.body
        assert "retry-after" not in reply.headers
        assert server.rejected == ["failed"]
        await server.still_serves()


# The rest of HTTP/1.1.


async def test_requests_sent_in_one_go_are_answered_in_order() -> None:
    async with serving() as server:
        client = await server.connect()
        await client.send(b"".join(post(b"%d" % each) for each in range(100)))
        assert [(await client.reply()).body for _ in range(100)] == [b"%d" % each for each in range(100)]


async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    async with serving() as server:
        client = await server.connect()
        await client.send(post(b"", "/mutate", "Expect: 100-continue").replace(b"Length: 0", b"Length: 4"))
        assert (await client.reply()).status == 100
        await client.send(b"body")
        assert (await client.reply()).body == b"body"


async def test_a_client_that_asks_first_is_told_not_to_send_too_much() -> None:
    async with serving() as server:
        client = await server.connect()
        await client.send(
            post(b"", "/mutate", "Expect: 100-continue").replace(b"Length: 0", b"Length: 9000000")
        )
        assert (await client.reply()).status == 413


async def test_an_upgrade_is_not_followed() -> None:
    async with serving(limits=QUICK) as server:
        client = await server.connect()
        await client.send(post(b"", "/mutate", "Connection: upgrade", "Upgrade: websocket"))
        assert (await client.reply()).status == 200
        await server.still_serves()


async def test_a_client_of_http_1_0_is_served() -> None:
    async with serving() as server:
        client = await server.connect()
        await client.send(b"POST /mutate HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi")
        assert (await client.reply()).body == b"hi"
        assert await client.ended(within=1.0)


async def test_what_is_for_a_process_that_hangs_is_answered_by_this_one() -> None:
    asked: list[int] = []

    def mine(count: int) -> bool:
        asked.append(count)
        return False

    async with serving(mine=mine) as server:
        for client in [await server.connect() for _ in range(3)]:
            assert (await client.ask(b"x")).body == b"x"
    assert asked.count(0) > 1  # It waited for the other one, and more than once.


# The end.


@pytest.mark.fault("T8")
async def test_while_draining_every_reply_is_the_last_on_its_connection() -> None:
    async with serving() as server:
        before = await server.connect()
        assert "connection" not in (await before.ask(b"x")).headers
        server.listener.drain()
        after = await server.connect()  # Still accepted.
        for client in (before, after):
            reply = await client.ask(b"x")
            assert (reply.status, reply.headers["connection"]) == (200, "close")
            assert await client.ended(within=1.0)


@pytest.mark.fault("T8")
async def test_stopping_finishes_what_has_begun() -> None:
    async with serving(limits=PATIENT) as server:
        idle, begun = await server.connect(), await server.connect()
        request = post(b"begun")
        await begun.send(request[:-1])
        await _until(lambda: server.listener.in_flight == 1, 1.0)
        stopping = asyncio.create_task(server.listener.stop(grace=5.0))
        assert await idle.ended(within=1.0)
        with pytest.raises(ConnectionError):
            await server.connect()
        await begun.send(request[-1:])
        reply = await begun.reply()
        assert (reply.body, reply.headers["connection"]) == (b"begun", "close")
        assert await asyncio.wait_for(stopping, 1.0) == 0
        assert not server.listener.accepting


async def test_stopping_does_not_wait_for_ever() -> None:
    async with serving(limits=PATIENT) as server:
        client = await server.connect()
        await client.send(post(b"begun")[:-1])
        await _until(lambda: server.listener.in_flight == 1, 1.0)
        assert await asyncio.wait_for(server.listener.stop(grace=0.3), 1.0) == 1
        assert await client.ended(within=1.0)
        assert server.cut == ["stopped"]


async def test_a_port_taken_is_said_in_one_sentence() -> None:
    async with serving() as server:
        with pytest.raises(CannotBind, match=f"port {server.port} of {HOST}: Address already in use"):
            bind(HOST, server.port)


def test_every_address_of_both_families() -> None:
    with bind("::", 0) as bound:
        bound.listen()
        port = bound.getsockname()[1]

        async def reach(host: str) -> None:
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            await writer.wait_closed()

        asyncio.run(reach("127.0.0.1"))


async def _until(true: Callable[[], bool], within: float) -> None:
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110 - what is waited for has no event to tell of it
            await asyncio.sleep(0.01)


async def _finish(client: Client, rest: bytes) -> int:
    await client.send(rest)
    return len((await client.reply()).body)
