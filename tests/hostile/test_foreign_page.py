"""A page of another origin, in a real Chromium on the proxy's own machine: it can neither spend nor read. Nor can one
of another server on this machine, such as one for development."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from tests.support import browser
from tests.support.browser import Browser
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream

pytestmark = browser.needed
FOREIGN = "evil.example"
MODEL = "a-model-of-the-settings"
BODY = f'{{"model":"{MODEL}","max_tokens":5,"messages":[{{"role":"user","content":"hi"}}]}}'
UPSTREAM = "[upstream up]\nprotocol = chat, responses\nbase_url = {url}\napi_key = k\n[models]\n{model} = up\n"
CLIENT = "[client someone]\nkey = 0123456789abcdef0123\nadmin = true\n"
SCRIPT = """
const at = arguments[0], body = arguments[1], read = window.read = [];
window.left = 0;
const trying = (what) => { window.left++; Promise.resolve().then(what).catch(() => 0).finally(() => window.left--); };
const text = async (path, options) => read.push(await (await fetch(at + path, options)).text());
for (const type of ['text/plain', 'application/json', 'application/x-www-form-urlencoded'])
  for (const mode of ['no-cors', 'cors'])
    for (const path of ['/v1/chat/completions', '/v1/messages', '/v1/responses', '/debug/translate'])
      trying(() => text(path, {method: 'POST', mode, body, headers: {'Content-Type': type}}));
for (const path of ['/v1/models', '/v1/responses/resp_1', '/debug/upstreams', '/debug/quirks', '/metrics', '/'])
  for (const mode of ['no-cors', 'cors']) trying(() => text(path, {mode}));
trying(() => navigator.sendBeacon(at + '/v1/chat/completions', body));
for (const tag of ['img', 'script', 'iframe']) {
  const one = document.createElement(tag); one.src = at + '/v1/responses/resp_1'; document.body.append(one);
}
for (const enctype of ['text/plain', 'multipart/form-data', 'application/x-www-form-urlencoded']) {
  const frame = document.createElement('iframe'); frame.name = enctype; document.body.append(frame);
  const form = document.createElement('form');
  Object.assign(form, {method: 'POST', action: at + '/v1/chat/completions', enctype, target: enctype});
  const field = document.createElement('input'); field.name = body.slice(0, -1) + ',"x":"'; field.value = '"}';
  form.append(field); document.body.append(form); form.submit();
}
trying(() => new Promise((done) => {
  const socket = new WebSocket(at.replace('http', 'ws') + '/v1/responses');
  socket.onopen = () => socket.send(JSON.stringify({type: 'response.create', model: 'x', input: 'x'}));
  socket.onmessage = (event) => read.push(event.data);
  socket.onclose = socket.onerror = done;
}));
"""


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>foreign</title><body></body>")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module", params=[FOREIGN, "localhost"])
def page(request: pytest.FixtureRequest) -> Iterator[Browser]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server, Browser(foreign=FOREIGN) as page:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page.open(f"http://{request.param}:{server.server_port}/")
        yield page
        server.shutdown()


@pytest.mark.parametrize("clients", ["", CLIENT], ids=["without clients", "with one"])
def test_it_neither_spends_nor_reads(page: Browser, clients: str) -> None:
    asked: list[str] = []

    def answer(request: Request) -> Answer:
        asked.append(request.path)
        return Answer.json({})

    with Upstream(answer) as up, House(UPSTREAM.format(url=up.url, model=MODEL) + clients) as house:
        page.run(SCRIPT, house.url, BODY)
        page.wait("return window.left === 0")
        read = page.run("return window.read")
        assert asked == []
        got = house.get("/v1/models", {"x-api-key": "0123456789abcdef0123"} if clients else {})
        assert got[0] == 200 and MODEL.encode() in got[2], "what the page could have read"
        assert not [each for each in read if MODEL in each]
