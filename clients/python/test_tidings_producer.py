"""Tests of the producer: python3 -m unittest. Those against an API need API_URL and SERVICE_KEY."""

import asyncio
import contextlib
import json
import os
import socket
import threading
import time
import unittest
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tidings_producer import Producer, ProducerError, Receipt, find_problems

KEY = "tdk_secret"
SENT = {"notification_id": "n", "notification_type": "email", "status": "sent"}


class StubApi:
    """Answers each request with the next of the given answers, and with an acceptance after the last one.

    An answer is a status with headers, or a function that gets the request's handler.
    """

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stub.requests.append((self.path, body["events"], time.monotonic()))
                self.events = body["events"]
                answer = stub.answers.pop(0) if stub.answers else (202, {})
                if callable(answer):
                    return answer(self)
                status, headers = answer
                return send(self, status, accept(body["events"]), headers)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        # Daemon threads, because a kept connection would hold server_close().
        self.server.daemon_threads = True
        # A client that gave up is no error here.
        self.server.handle_error = lambda *_: None
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    @property
    def event_ids(self):
        return [[event["event_id"] for event in events] for _, events, _ in self.requests]


def accept(events):
    return {"data": [{"accepted": True} for _ in events]}


def wait_until(is_so):
    ends = time.monotonic() + 10
    while not is_so():
        if time.monotonic() > ends:
            raise AssertionError("It did not come about within 10 seconds")
        time.sleep(0.005)


def send(handler, status, body, headers=()):
    text = json.dumps(body).encode()
    handler.send_response(status)
    for name, value in dict(headers).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(text)))
    handler.end_headers()
    handler.wfile.write(text)


def close_connection(handler):
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


class ProducerTest(unittest.TestCase):
    def assert_error(self, error, code, retryable):
        self.assertIsInstance(error, ProducerError)
        self.assertEqual((error.code, error.retryable), (code, retryable), error)
        self.assertNotIn(KEY, f"{error!r} {error} {vars(error)} {error.__cause__!r}")

    @contextlib.contextmanager
    def assert_raises(self, code, retryable):
        with self.assertRaises(ProducerError) as caught:
            yield caught
        self.assert_error(caught.exception, code, retryable)


class Rules(ProducerTest):
    def test_an_invalid_event_is_refused_with_field_and_rule_and_without_its_values(self):
        event = {**SENT, "status": "lost-secretly", "user_id": "ann", "metadata": {"x" * 40: "\0"}}
        with Producer("http://127.0.0.1:1", KEY) as producer, self.assert_raises("invalid_event", False) as caught:
            producer.report({**event, "metadata": None})
        error = caught.exception
        self.assertEqual([(field.pointer, field.code) for field in error.fields],
                         [("/status", "invalid_value"), ("/user_id", "invalid_format")])
        self.assertNotIn("lost-secretly", str(error))
        self.assertIn("user_id: Use a UUID.", str(error))
        self.assertEqual([field.pointer for field in find_problems(event)], ["/metadata"])

    def test_values_that_are_no_json_are_refused(self):
        for value in (object(), b"bytes", {1: 2}, float("nan"), 10**400):
            self.assertEqual(len(find_problems({**SENT, "metadata": {"value": value}})), 1, value)
        self.assertEqual(find_problems([SENT])[0].code, "invalid_type")
        self.assertEqual(find_problems({**SENT, "notification_type": "fax"})[0].pointer, "/notification_type")
        self.assertEqual(find_problems({**SENT, "attempt": True})[0].code, "invalid_type")

    def test_wrong_arguments_are_refused_without_their_values(self):
        for url in ("ftp://a", "a.example.com", "https://ann:secret@a", "http://a:port", "", None):
            with self.assert_raises("invalid_options", False) as caught:
                Producer(url, KEY)
            self.assertNotIn("secret", str(caught.exception))
        for key in ("", f"{KEY}\n", None):
            with self.assert_raises("invalid_options", False):
                Producer("http://127.0.0.1:1", key)

    def test_a_producer_does_not_show_its_key(self):
        self.assertNotIn(KEY, repr(Producer("http://127.0.0.1:1", KEY)))


class Batches(ProducerTest):
    def test_concurrent_calls_share_requests_and_each_gets_its_own_result(self):
        def hold(handler):
            """Answers when all calls are on their way."""
            wait_until(lambda: len(producer._waiting) == 100)
            send(handler, 202, accept(handler.events))

        with StubApi(hold) as api, Producer(api.url, KEY) as producer:
            receipts = [None] * 100

            def report(index):
                receipts[index] = producer.report({**SENT, "event_id": f"e-{index}"})

            threads = [threading.Thread(target=report, args=(index,)) for index in range(100)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(receipts, [Receipt(f"e-{index}") for index in range(100)])
            self.assertEqual(len(api.requests), 2)

    def test_asyncio_reports_in_threads(self):
        async def report():
            return await asyncio.gather(*(asyncio.to_thread(producer.report, SENT) for _ in range(5)))

        with StubApi() as api, Producer(api.url, KEY) as producer:
            self.assertEqual(len({receipt.event_id for receipt in asyncio.run(report())}), 5)

    def test_a_request_has_at_most_500_events_and_1_mb_in_order(self):
        with StubApi() as api, Producer(api.url, KEY) as producer:
            events = [{**SENT, "event_id": f"e-{index}"} for index in range(1_200)]
            large = [{**SENT, "event_id": f"l-{index}", "recipient": "€" * 4_000} for index in range(200)]
            self.assertTrue(all(isinstance(result, Receipt) for result in producer.report_many(events + large)))
            self.assertEqual([id_ for ids in api.event_ids for id_ in ids],
                             [event["event_id"] for event in events + large])
            for _, batch, _ in api.requests:
                self.assertLessEqual(len(batch), 500)
                self.assertLess(len(json.dumps(batch, ensure_ascii=False).encode()), 1_048_576)

    def test_each_type_has_its_route_and_unknown_fields_and_none_are_left_out(self):
        with StubApi() as api, Producer(f"{api.url}/base/", KEY) as producer:
            producer.report({**SENT, "unknown": 1, "attempt": None})
            producer.report({**SENT, "notification_type": "push"})
            paths = [path for path, _, _ in api.requests]
            self.assertEqual(paths, [f"/base/api/v1/{type_}/status/batch/" for type_ in ("email", "push")])
            self.assertEqual(set(api.requests[0][1][0]), {"notification_id", "status", "event_id"})

    def test_an_event_that_the_api_refuses_affects_no_other(self):
        problem = {"pointer": "/error", "code": "missing_error", "message": "This status requires an error."}
        refusals = [
            {"accepted": True},
            {"accepted": False, "error": "missing_error", "message": "No.", "errors": [problem]},
            {"accepted": False, "error": "conflict", "message": "Used before.", "errors": []},
            {"accepted": False, "error": "payload_too_large", "message": "Large.", "errors": []},
        ]
        answer = lambda handler: send(handler, 202, {"data": refusals})  # noqa: E731
        with StubApi(answer) as api, Producer(api.url, KEY) as producer:
            results = producer.report_many([{**SENT, "event_id": str(index)} for index in range(4)])
        self.assertEqual(results[0], Receipt("0"))
        for result, code in zip(results[1:], ("invalid_event", "conflict", "invalid_event")):
            self.assert_error(result, code, False)
        self.assertEqual([field.pointer for field in results[1].fields], ["/error"])
        self.assertEqual(results[3].fields[0].code, "payload_too_large")
        self.assertEqual([result.event_id for result in results], ["0", "1", "2", "3"])


class Retries(ProducerTest):
    def test_an_event_keeps_its_id_in_every_attempt_and_waits_as_asked(self):
        # The date has whole seconds, so it may be almost a second less.
        in_two_seconds = formatdate(time.time() + 2, usegmt=True)
        answers = [(503, {"Retry-After": "1"}), (429, {"Retry-After": in_two_seconds}), (500, {}), (408, {})]
        with StubApi(*answers, close_connection) as api, Producer(api.url, KEY) as producer:
            receipt = producer.report(SENT)
        self.assertEqual(api.event_ids, [[receipt.event_id]] * 6)
        self.assertRegex(receipt.event_id, "^[0-9a-f]{8}-[0-9a-f]{4}-7")
        times = [at for _, _, at in api.requests]
        self.assertGreaterEqual(times[1] - times[0], 1)

    def test_a_silent_api_is_tried_again(self):
        released = threading.Event()
        with StubApi(lambda _: released.wait(8)) as api:
            with Producer(api.url, KEY, request_timeout_ms=100) as producer:
                producer.report(SENT)
            released.set()
        self.assertEqual(len(api.requests), 2)

    def test_what_is_not_an_answer_of_the_api_is_tried_again(self):
        page = lambda handler: send(handler, 202, "a page")  # noqa: E731
        fewer = lambda handler: send(handler, 202, {"data": []})  # noqa: E731
        with StubApi(page, fewer) as api, Producer(api.url, KEY) as producer:
            producer.report(SENT)
        self.assertEqual(len(api.requests), 3)

    def test_it_gives_up_at_the_deadline_with_the_last_reason(self):
        with StubApi(*[(503, {})] * 50) as api, Producer(api.url, KEY, deadline_ms=500) as producer:
            started = time.monotonic()
            with self.assert_raises("unavailable", True) as caught:
                producer.report(SENT)
            self.assertLess(time.monotonic() - started, 4)
            self.assertEqual(str(caught.exception), "The API answered 503.")
            self.assertIsNotNone(caught.exception.event_id)

    def test_a_pause_beyond_the_deadline_is_not_waited_for(self):
        with StubApi((503, {"Retry-After": "60"})) as api, Producer(api.url, KEY, deadline_ms=10_000) as producer:
            started = time.monotonic()
            for shortest in (50_000, 5_000):
                with self.assert_raises("unavailable", True) as caught:
                    producer.report(SENT)
                self.assertGreater(caught.exception.retry_after_ms, shortest)
            self.assertLess(time.monotonic() - started, 4)
            self.assertEqual(len(api.requests), 1)

    def test_an_api_that_named_a_time_far_away_is_asked_again(self):
        with StubApi((503, {"Retry-After": "3600"})) as api, Producer(api.url, KEY, deadline_ms=200) as producer:
            with self.assert_raises("unavailable", True):
                producer.report(SENT)
            ends = time.monotonic() + 10
            while time.monotonic() < ends:
                try:
                    producer.report(SENT)
                    break
                except ProducerError as error:
                    self.assertEqual(error.code, "unavailable")
            self.assertEqual(len(api.requests), 2)

    def test_the_deadline_holds_while_a_request_hangs_and_when_nothing_listens(self):
        released = threading.Event()
        with StubApi(lambda _: released.wait(8)) as api:
            for url in (api.url, "http://127.0.0.1:1"):
                with Producer(url, KEY, deadline_ms=200) as producer:
                    started = time.monotonic()
                    with self.assert_raises("unavailable", True):
                        producer.report(SENT)
                    self.assertLess(time.monotonic() - started, 4)
                    producer.close(timeout_ms=1)
            released.set()

    def test_refusals_of_the_request_are_final(self):
        for status, code, text in (
            (401, "unauthorized", "Is the service key right"),
            (403, "unauthorized", "have the scope status:write:email"),
            (400, "refused", "The API answered 400."),
            (302, "refused", "Is the URL the base URL of the API?"),
            (404, "refused", "Is the URL the base URL of the API?"),
        ):
            with StubApi((status, {"Location": "/elsewhere"})) as api, Producer(api.url, KEY) as producer:
                with self.assert_raises(code, False) as caught:
                    producer.report(SENT)
            self.assertIn(text, str(caught.exception))
            self.assertEqual(len(api.requests), 1)


class Memory(ProducerTest):
    def setUp(self):
        self.released = threading.Event()
        self.addCleanup(self.released.set)

    def hold(self, handler):
        """Answers when the test releases it."""
        self.released.wait(10)
        send(handler, 202, accept(handler.events))

    def start(self, producer):
        """Reports in another thread. Returns the list that the result goes to, and the thread."""
        results = []
        thread = threading.Thread(target=lambda: results.extend(producer.report_many([SENT])))
        thread.start()
        return results, thread

    def wait_for_request(self, api):
        wait_until(lambda: api.requests)

    def test_more_than_max_pending_events_are_refused_at_once(self):
        with StubApi(self.hold) as api, Producer(api.url, KEY, max_pending=2) as producer:
            _, thread = self.start(producer)
            self.wait_for_request(api)
            other, other_thread = self.start(producer)
            wait_until(lambda: len(producer._waiting) == 2)
            with self.assert_raises("overloaded", True):
                producer.report(SENT)
            self.released.set()
            thread.join()
            other_thread.join()
            self.assertIsInstance(other[0], Receipt)
            producer.report(SENT)

    def test_flush_waits_for_all_events_and_close_refuses_later_ones(self):
        with StubApi(self.hold) as api:
            producer = Producer(api.url, KEY)
            producer.flush()
            results, thread = self.start(producer)
            self.wait_for_request(api)
            threading.Timer(0.1, self.released.set).start()
            producer.flush()
            self.assertTrue(self.released.is_set())
            thread.join()
            self.assertIsInstance(results[0], Receipt)
            producer.close()
            with self.assert_raises("closed", True):
                producer.report(SENT)

    def test_close_gives_up_after_its_time_limit_and_leaves_no_thread(self):
        with StubApi(self.hold) as api:
            producer = Producer(api.url, KEY)
            results, thread = self.start(producer)
            self.wait_for_request(api)
            producer.close(timeout_ms=50)
            thread.join()
            self.assert_error(results[0], "closed", True)
            self.assertNotIn("tidings-producer", [each.name for each in threading.enumerate()])


@unittest.skipUnless("API_URL" in os.environ, "no API_URL")
class RealApi(ProducerTest):
    def setUp(self):
        self.producer = Producer(os.environ["API_URL"], os.environ["SERVICE_KEY"])
        self.addCleanup(self.producer.close)

    def test_events_are_accepted_and_a_repeat_with_other_content_is_a_conflict(self):
        full = {
            **SENT,
            "notification_id": "python-full",
            "status": "bounced",
            "error": {"code": "550", "class": "permanent", "message": "No such user."},
            "timestamp": "2026-01-31T12:00:00.123+02:00",
            "event_id": "python-1",
            "attempt": 2,
            "provider": "sendgrid",
            "provider_message_id": "m-1",
            "category": "newsletter",
            "metadata": {"tags": ["ä", 1.5, None]},
            "recipient": "ann@example.com",
        }
        self.assertEqual(self.producer.report_many([full, full]), [Receipt("python-1")] * 2)
        with self.assert_raises("conflict", False):
            self.producer.report({**full, "attempt": 3})

    def test_many_events_of_both_types_are_accepted(self):
        events = [
            {**SENT, "notification_id": f"python-{index}", "notification_type": ("email", "push")[index % 2]}
            for index in range(1_500)
        ]
        self.assertTrue(all(isinstance(result, Receipt) for result in self.producer.report_many(events)))

    def test_a_wrong_key_is_refused(self):
        with Producer(os.environ["API_URL"], KEY) as producer, self.assert_raises("unauthorized", False):
            producer.report(SENT)


if __name__ == "__main__":
    unittest.main()
