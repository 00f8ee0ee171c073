"""Models that are asked: what is sent, what is taken for an answer, and programs that misbehave."""

import base64
import json
import os
import pickle
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from anomech.artefacts.asking.address import Address, place_of
from anomech.artefacts.asking.program import Program
from anomech.artefacts.asking.wire import reply, request
from anomech.kernel.errors import ConfigError, ModelError

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)


def test_a_question_holds_the_pixels_as_they_are():
    asked = json.loads(request(IMAGES))
    pixels = np.frombuffer(base64.b64decode(asked["pixels"]), np.uint8)
    assert np.array_equal(pixels.reshape(asked["shape"]), IMAGES)
    assert request(IMAGES).count(b"\n") == 1


def test_probabilities_logits_and_labels_are_answers():
    said = reply(b'{"probabilities": [[0.25, 0.75], [0.999, 0.002]], "model": "v3"}', 2, "it")
    np.testing.assert_allclose(said.probabilities.sum(axis=1), 1)
    assert (said.labels, said.model) == ((1, 0), "v3")
    logits = reply(b'{"logits": [[0, 1000], [2, 2]]}', 2, "it")
    np.testing.assert_allclose(logits.probabilities, [[0, 1], [0.5, 0.5]])
    labels = reply(b'{"labels": [3, "cat"]}', 2, "it")
    assert (labels.probabilities, labels.labels) == (None, (3, "cat"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"Loading the model...", "no JSON"),
        (b"", "no JSON"),
        (b'{"probabilities": [[NaN, 1], [0, 1]]}', "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[1, 2]", "an object with 'probabilities'"),
        (b'{"error": "out of memory"}', "out of memory"),
        (b'{"labels": [1, 2], "logits": [[0, 1], [0, 1]]}', "one of them"),
        (b'{"labels": 3}', "no list of labels"),
        (b'{"labels": [1]}', "1 labels for 2 images"),
        (b'{"labels": [1, -2]}', "count from 0"),
        (b'{"labels": [1, true]}', "a whole number or a class's name"),
        (b'{"labels": [1, 2.5]}', "a whole number or a class's name"),
        (b'{"probabilities": [0.5, 0.5]}', "no table"),
        (b'{"probabilities": [[0.5, 0.5], [1.0]]}', "no table"),
        (b'{"probabilities": [["0.5", "0.5"], [1, 0]]}', "no table"),
        (b'{"probabilities": [[1], [1]]}', "no table"),
        (b'{"probabilities": [[0.2, 0.2], [1, 0]]}', "sum to"),
        (b'{"probabilities": [[-1, 2], [1, 0]]}', "sum to"),
        (b'{"logits": [[1e999, 0], [1, 0]]}', "not finite"),
        (b'{"logits": [[1' + b"0" * 400 + b", 0], [1, 0]]}", "not finite"),
        (b'{"labels": [1, 2], "model": 7}', "a text or left out"),
    ],
)
def test_what_is_no_answer_is_refused_in_a_sentence(text, why):
    with pytest.raises(ModelError, match=why) as caught:
        reply(text, 2, "it")
    assert str(caught.value).startswith("it ")
    assert str(caught.value).endswith((".", ")"))


def program(body, seconds=20.0):
    """A program that runs these lines of Python for each question."""
    lines = f"import sys, os, time\nfor line in sys.stdin:\n    {body}\n    sys.stdout.flush()"
    return Program(f'{sys.executable} -S -c "{lines}"', seconds)


class TestProgram:
    def test_one_process_answers_all_questions(self):
        asked = program('print(\'{\\"labels\\": [0, 0], \\"model\\": \\"%d\\"}\' % os.getpid())')
        first, second = asked.ask(IMAGES), asked.ask(IMAGES)
        assert first == second
        os.kill(int(first.model), 0)
        asked.close()
        with pytest.raises(ProcessLookupError):
            os.kill(int(first.model), 0)
        assert asked.ask(IMAGES).model != first.model  # and is started again when it is asked
        asked.close()

    def test_large_questions_and_answers_pass(self):
        asked = program("print('{\\\"labels\\\": [%s 0]}' % ('0,' * 299999))")
        many = np.zeros((300_000, 1, 1, 3), np.uint8)
        assert len(asked.ask(many).labels) == 300_000
        asked.close()

    def test_it_travels_without_its_process(self):
        asked = program("print('{\\\"labels\\\": [0, 0]}')")
        asked.ask(IMAGES)
        there = pickle.loads(pickle.dumps(asked))
        assert there.ask(IMAGES).labels == (0, 0)
        there.close()
        asked.close()

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            ("sys.exit('no such weights')", r"exit code 1\); it said: no such weights"),
            ("print('ready'); print('{}')", "no JSON"),
            (
                "sys.stdout.write(('{\\\"labels\\\": [0, 0]}' + chr(10)) * 2)",
                "more than one line",
            ),
            ("print('ready')", "no JSON"),
        ],
    )
    def test_a_program_that_dies_or_chats_is_told(self, body, why):
        asked = program(body)
        with pytest.raises(ModelError, match=why):
            asked.ask(IMAGES)
        assert asked._running is None

    def test_one_that_hangs_is_ended(self):
        asked, clock = program("time.sleep(60)", seconds=0.5), time.monotonic()
        with pytest.raises(ModelError, match=r"within 0\.5 seconds"):
            asked.ask(IMAGES)
        assert time.monotonic() - clock < 10

    def test_one_that_does_not_read_is_ended(self):
        asked = Program(f'{sys.executable} -S -c "import time; time.sleep(60)"', 0.5)
        with pytest.raises(ModelError, match=r"within 0\.5 seconds"):
            asked.ask(np.zeros((1, 1000, 1000, 3), np.uint8))

    def test_one_that_is_not_there_is_told(self):
        with pytest.raises(ModelError, match="cannot be started"):
            Program("no-such-program --at-all", 5).ask(IMAGES)


@pytest.fixture
def service():
    """A service that does what a test says, and its address."""
    todo = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            todo["act"](self, json.loads(body))

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield todo, f"http://127.0.0.1:{server.server_port}/answer"
    server.shutdown()
    server.server_close()


def answering(status, body, headers=()):
    def act(handler, asked):
        handler.send_response(status)
        for name, value in headers:
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return act


class TestAddress:
    def test_it_answers(self, service):
        todo, url = service
        todo["act"] = answering(200, b'{"labels": [4, 2]}')
        assert Address(url, 5).ask(IMAGES).labels == (4, 2)
        assert Address(url.replace("127.0.0.1", "localhost"), 5).ask(IMAGES).labels == (4, 2)

    @pytest.mark.parametrize(
        ("status", "body", "headers", "why"),
        [
            (500, b"boom", (), "status 500 .*boom"),
            (302, b"", (("Location", "http://example.org/"),), "status 302"),
            (200, b"<html>", (), "no JSON"),
        ],
    )
    def test_what_is_no_answer_is_told(self, service, status, body, headers, why):
        todo, url = service
        todo["act"] = answering(status, body, headers)
        with pytest.raises(ModelError, match=why):
            Address(url, 5).ask(IMAGES)

    def test_a_slow_service_is_not_waited_for(self, service):
        todo, url = service

        def drop_by_drop(handler, asked):
            handler.send_response(200)
            handler.end_headers()
            for _ in range(40):
                try:
                    handler.wfile.write(b" ")
                    handler.wfile.flush()
                except OSError:
                    return
                time.sleep(0.1)

        todo["act"] = drop_by_drop
        with pytest.raises(ModelError, match=r"within 0\.3 seconds"):
            Address(url, 0.3).ask(IMAGES)

    def test_nobody_there(self):
        with pytest.raises(ModelError, match=r"gives no answer .*start the service"):
            Address("http://127.0.0.1:9/", 2).ask(IMAGES)

    @pytest.mark.parametrize(
        "url",
        [
            "http://example.org/",
            "http://10.0.0.1:80/",
            "http://0.0.0.0:80/",
            "http://127.0.0.1.example.org/",
            "http://localhost.example.org/",
            "https://127.0.0.1/",
            "file:///etc/passwd",
            "http://user@127.0.0.1/",
            "http://127.0.0.1:99999/",
            "http://[::1/",
            "",
        ],
    )
    def test_only_this_machine_is_asked(self, url):
        with pytest.raises(ConfigError, match="no address of this machine"):
            place_of(url)

    def test_this_machine_has_several_addresses(self):
        place = place_of("http://127.0.0.1:81/a?b=c")
        assert (place.host, place.port, place.path) == ("127.0.0.1", 81, "/a?b=c")
        assert place_of("http://[::1]:82").host == "::1"
        assert place_of("http://localhost").host == "127.0.0.1"
