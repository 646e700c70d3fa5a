"""A TCP proxy on loopback that makes the way to a server longer: `delay.py --to PORT --ms 20` prints its port.

What a client sends arrives so much later; the way back takes no time, so a round trip costs the delay once. Bytes are
delayed, not slowed down.
"""

import argparse
import asyncio
import collections
import time

PIECE = 1 << 18


async def forward(reader, writer, seconds):
    """Each piece goes on `seconds` after it came."""
    pieces = collections.deque()
    some = asyncio.Event()

    async def take():
        while True:
            data = await reader.read(PIECE)
            pieces.append((time.monotonic() + seconds, data))
            some.set()
            if not data:
                return

    taking = asyncio.create_task(take())
    try:
        while True:
            while not pieces:
                some.clear()
                await some.wait()
            due, data = pieces.popleft()
            pause = due - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            if not data:
                break
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    finally:
        taking.cancel()


async def serve(arguments):
    async def connected(reader, writer):
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", arguments.to, limit=1 << 20)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(forward(reader, up_writer, arguments.ms / 1000), forward(up_reader, writer, 0))
        except OSError:
            pass
        finally:
            up_writer.close()
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=1 << 20, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=int, required=True, metavar="PORT")
    parser.add_argument("--ms", type=float, required=True)
    asyncio.run(serve(parser.parse_args()))
