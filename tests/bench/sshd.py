"""An sshd on loopback with keys of its own, for sshfs."""

import getpass
import os
import subprocess

from daemon import Daemon
from packages import program
from server import Server, free_port, listening

CONFIGURATION = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile {folder}/pid
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
MaxStartups 100
Subsystem sftp internal-sftp
"""


class Sshd(Server):
    name = "sshd"

    def __init__(self, place):
        super().__init__(place)
        self.own_port = free_port()
        for key in ("host", "user"):
            subprocess.run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "gssfs-bench", "-f",
                            self.folder / key], check=True, stdin=subprocess.DEVNULL)
        (self.folder / "authorized").write_bytes((self.folder / "user.pub").read_bytes())
        configuration = self.folder / "sshd_config"
        configuration.write_text(CONFIGURATION.format(port=self.own_port, folder=self.folder))
        if os.geteuid() == 0:
            # The folder of sshd's privilege separation, which its service makes; gone with a boot anyway.
            if not os.path.isdir("/run/sshd"):
                os.mkdir("/run/sshd", 0o755)
                place.undo(os.rmdir, "/run/sshd")
        self.daemon = Daemon(place, self.name, [program("sshd"), "-D", "-e", "-f", configuration])
        self.daemon.ready(lambda: listening(self.own_port))

    def login(self, delay_ms):
        """Words for sshfs."""
        options = [f"port={self.port(delay_ms)}", f"IdentityFile={self.folder / 'user'}", "IdentitiesOnly=yes",
                   "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", "LogLevel=ERROR"]
        return getpass.getuser(), [word for option in options for word in ("-o", option)]
