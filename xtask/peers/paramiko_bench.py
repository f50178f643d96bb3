"""Measures paramiko: for each line `LANES COUNT` read, prints commands a second."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import paramiko

port, user, key, known_hosts = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]

client = paramiko.SSHClient()
client.load_host_keys(known_hosts)
client.connect(
    "127.0.0.1",
    port=port,
    username=user,
    key_filename=key,
    allow_agent=False,
    look_for_keys=False,
)


def lane(count):
    for _ in range(count):
        _, stdout, _ = client.exec_command("echo ok")
        printed = stdout.read()
        # Else a session is open until the garbage is collected, and a server has ten.
        stdout.channel.close()
        if printed != b"ok\n":
            raise RuntimeError(f"`echo ok` printed {printed!r}")


lane(5)
for line in sys.stdin:
    lanes, count = map(int, line.split())
    each = -(-count // lanes)
    started = time.perf_counter()
    with ThreadPoolExecutor(lanes) as pool:
        # A lane that failed ends the program: it would count as a very fast one.
        for ended in [pool.submit(lane, each) for _ in range(lanes)]:
            ended.result()
    print(each * lanes / (time.perf_counter() - started), flush=True)
