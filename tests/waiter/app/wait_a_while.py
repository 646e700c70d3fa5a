"""Waits as many seconds as it is told, and says so: the smallest job there is.

    python3 wait_a_while.py SECONDS

While it runs it keeps a status page, and at its end a result, in the folder of the HPC service (/service, or
what SERVICE says).
"""

import os
import pathlib
import sys
import time

SERVICE = pathlib.Path(os.environ.get("SERVICE", "/service"))
PAGE = "<html><body><h1>Waiting</h1><p>{} of {} seconds are over.</p></body></html>\n"


def publish(name, text):
    """Replaces a file as a whole, so that whoever reads it never sees half of one."""
    temporary = SERVICE / f".{name}.new"
    temporary.write_text(text)
    temporary.replace(SERVICE / name)


def main():
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        sys.exit(__doc__)
    seconds = int(sys.argv[1])
    publish("result.txt", "UNSET")
    for done in range(seconds):
        publish("status.html", PAGE.format(done, seconds))
        time.sleep(1)
    publish("status.html", PAGE.format(seconds, seconds))
    publish("result.txt", f"Waited {seconds} seconds.\n")


if __name__ == "__main__":
    main()
