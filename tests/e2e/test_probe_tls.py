#!/usr/bin/env python3
"""The TLS keys of a probe, from launcher.toml to the wire: alpn, min_tls, client_cert_file, client_key_file, sni."""
import subprocess

from harness import free_ports
from launcher_fixture import LAUNCHER, Checks, Launcher, Workspace

checks = Checks()
SERVER = r'''
import ssl, socket, sys
port, directory, mode = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(directory + "/cert.pem", directory + "/key.pem")
context.load_verify_locations(directory + "/cert.pem")
context.verify_mode = ssl.CERT_REQUIRED
context.set_alpn_protocols(["h2", "http/1.1"])
if mode == "old":
    context.maximum_version = ssl.TLSVersion.TLSv1_2
names = []
context.sni_callback = lambda s, name, c: names.append(name)
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", port))
server.listen(16)
while True:
    plain, _ = server.accept()
    plain.settimeout(5)
    try:
        with context.wrap_socket(plain, server_side=True) as secure:
            secure.recv(4096)
            subject = dict(pair[0] for pair in secure.getpeercert()["subject"])["commonName"]
            print("handshake", secure.selected_alpn_protocol(), secure.version(), subject, names[-1], flush=True)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    except (ssl.SSLError, OSError) as error:
        print("refused", error, flush=True)
        plain.close()
'''


def config_of(space, port, mode, keys):
    script = space.path / "tls_server.py"
    script.write_text(SERVER)
    path = space.path / "launcher.toml"
    path.write_text(f'''version = 1
[[log.sink]]
kind = "stdout"
format = "json"
[health]
unix = "{space.path}/health.sock"
listen = []
[service.tls]
command = ["/usr/bin/python3", "-S", "-E", "{script}", "{port}", "{space.path}", "{mode}"]
[service.tls.probe.startup]
kind = "https"
url = "https://127.0.0.1:{port}/"
deadline = "4s"
{keys}
''')
    return path


def main():
    with Workspace() as space:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=prober", "-keyout", space.path / "key.pem", "-out", space.path / "cert.pem"],
                       check=True, capture_output=True)
        files = f'client_cert_file = "{space.path}/cert.pem"\nclient_key_file = "{space.path}/key.pem"\n'
        port = free_ports(1)[0]
        with Launcher(config_of(space, port, "new", files + 'alpn = "http/1.1"\nmin_tls = "1.3"\nsni = "kms.example"\n')) as launcher:
            line = launcher.message("handshake")
            checks.check("the server sees ALPN, TLS 1.3, the client's certificate and the name", line is not None
                         and line["message"] == "handshake http/1.1 TLSv1.3 prober kms.example", launcher.dump())
            checks.check("… and the probe succeeds", launcher.message("tls has started") is not None, launcher.dump())
        with Launcher(config_of(space, port, "new", files + 'alpn = ""\n')) as launcher:
            line = launcher.message("handshake")
            checks.check("alpn = \"\" offers none", line is not None and line["message"].startswith("handshake None"), launcher.dump())
        for name, mode, keys, words in (("a server of TLS 1.2 is not good enough for min_tls = \"1.3\"", "old", files + 'min_tls = "1.3"\n', "tls_"),
                                        ("without a certificate the server refuses", "new", "", "")):
            with Launcher(config_of(space, port, mode, keys)) as launcher:
                checks.check(name, launcher.message("refused") is not None, launcher.dump())
                checks.check("… and the start fails with 75", launcher.status() == 75 and not launcher.has_message("tls has started")
                             and (not words or words in launcher.dump()), launcher.dump())
        for keys, wanted in ((f'client_cert_file = "{space.path}/cert.pem"\n', "belong together"), ('min_tls = "1.1"\n', "min_tls"),
                             ('alpm = "h2"\n', "alpn")):
            done = subprocess.run([LAUNCHER, "check", "--offline", "--config", config_of(space, port, "new", keys)], capture_output=True, text=True, timeout=10)
            checks.check(f"check: {keys.split(' =')[0]} is a mistake with a place", done.returncode == 78 and wanted in done.stderr
                         and "launcher.toml:" in done.stderr, done.stderr)
    checks.finish()


main()
