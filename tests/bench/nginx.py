"""nginx with WebDAV, for rclone and davfs2."""

import os

from daemon import Daemon
from packages import program
from server import Server, free_port, listening

CONFIGURATION = """
load_module /usr/lib/nginx/modules/ngx_http_dav_ext_module.so;
{user}
worker_processes 2;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    log_format one "$request_method";
    access_log {folder}/access.log one;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
    sendfile on;
    server {{
        listen 127.0.0.1:{port};
        root {served};
        location / {{
            dav_methods PUT DELETE MKCOL COPY MOVE;
            dav_ext_methods PROPFIND OPTIONS;
            create_full_put_path on;
            dav_access user:rw group:r all:r;
        }}
    }}
}}
"""


class Nginx(Server):
    name = "nginx"

    def __init__(self, place):
        super().__init__(place)
        self.own_port = free_port()
        configuration = self.folder / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(
            folder=self.folder, served=self.served, port=self.own_port,
            user="user root;" if os.geteuid() == 0 else ""))
        self.daemon = Daemon(place, self.name, [program("nginx"), "-c", configuration, "-e", self.folder / "error.log"])
        self.daemon.ready(lambda: listening(self.own_port))

    def requests(self):
        try:
            with open(self.folder / "access.log", "rb") as log:
                return sum(piece.count(b"\n") for piece in iter(lambda: log.read(1 << 20), b""))
        except OSError:
            return 0

    def url(self, delay_ms, name=""):
        return f"http://127.0.0.1:{self.port(delay_ms)}/{name}"

    def curl_put(self, file, name):
        return ["curl", "-sf", "-o", "/dev/null", "-T", file, "-H", "Expect:", self.url(0, name)]

    def curl_get(self, name, file):
        return ["curl", "-sf", "-o", file, self.url(0, name)]
