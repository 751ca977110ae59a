"""Reports notification statuses to Tidings over HTTP. README.md shows how.

Needs Python 3.9 and nothing else. Behaves like @tidings/producer: the same names, limits and defaults.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import socket
import threading
import time
import uuid
from collections import deque
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import (
    Any, Deque, Dict, List, Literal, NamedTuple, Optional, Sequence, Set, Tuple, TypedDict, Union, get_args,
)  # fmt: skip
from urllib.parse import urlsplit

__all__ = [
    "DeliveryError", "FieldError", "NotificationType", "Producer", "ProducerError", "ProducerErrorCode", "Receipt",
    "Report", "Result", "Status", "find_problems",
]  # fmt: skip

NotificationType = Literal["email", "push"]
Status = Literal[
    "pending", "sent", "deferred", "delivered", "failed", "bounced", "suppressed", "complained",
    "opened", "clicked", "unsubscribed",
]  # fmt: skip


class _ErrorMessage(TypedDict):
    message: str


#: `class` is `transient`, `permanent` or `config`.
_ErrorParts = TypedDict("_ErrorParts", {"code": Optional[str], "class": Optional[str]}, total=False)


class DeliveryError(_ErrorMessage, _ErrorParts):
    """What the provider said, in parts."""


class _Required(TypedDict):
    notification_id: str
    notification_type: NotificationType
    status: Status


class Report(_Required, total=False):
    """What became of a notification. docs/producers.md describes the fields. None is the same as leaving it out."""

    user_id: Optional[str]
    error: Union[str, DeliveryError, None]
    #: ISO 8601 with an offset.
    timestamp: Optional[str]
    event_id: Optional[str]
    attempt: Optional[int]
    provider: Optional[str]
    provider_message_id: Optional[str]
    category: Optional[str]
    metadata: Optional[Dict[str, Any]]
    recipient: Optional[str]


class FieldError(NamedTuple):
    """A problem of a report. It holds no value."""

    #: JSON pointer to the field.
    pointer: str
    #: One of the codes under "Fields" in docs/error-codes.md.
    code: str
    message: str


ProducerErrorCode = Literal[
    # The event breaks a rule; `fields` says which. Correct it.
    "invalid_event",
    # Its event_id was used before with other content. Correct it.
    "conflict",
    # The service key is not valid, or lacks the scope of the type.
    "unauthorized",
    # The API refused the request as a whole. The URL may be wrong.
    "refused",
    # Nobody confirmed the event in time. It may have arrived.
    "unavailable",
    # As many events as max_pending allows are on their way. This one was not sent.
    "overloaded",
    # The producer was closed first. The event may have arrived.
    "closed",
    # An argument of Producer breaks a rule.
    "invalid_options",
]


class ProducerError(Exception):
    """Why an event was not reported. Its text names fields and rules, and holds no values of the event."""

    def __init__(
        self,
        code: ProducerErrorCode,
        message: str,
        *,
        fields: Sequence[FieldError] = (),
        retry_after_ms: Optional[float] = None,
        event_id: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.fields = tuple(fields)
        #: How long the API asked to wait, in milliseconds.
        self.retry_after_ms = retry_after_ms
        #: The event_id that the event was sent with. None for an event that was not sent.
        self.event_id = event_id

    @property
    def retryable(self) -> bool:
        """Whether the same event may be taken later. Give it the same event_id then: it is stored once."""
        return self.code in ("unavailable", "overloaded", "closed")


class Receipt(NamedTuple):
    """An event is durable: it becomes one row or one dead letter."""

    #: The event_id that it was sent with.
    event_id: str


#: What became of one event of report_many.
Result = Union[Receipt, ProducerError]

# --- Rules of a report: packages/shared/src/status-event.ts, kept alike by a test ---

_STATUSES_WITH_ERROR = ("failed", "bounced")
_ERROR_CLASSES = ("transient", "permanent", "config")
#: The texts, with their greatest lengths in characters.
_TEXTS = {
    "notification_id": 255,
    "event_id": 128,
    "provider": 128,
    "provider_message_id": 255,
    "recipient": 4096,
}
_MAX_ERROR_CODE = 128
_MAX_ERROR = 4096
_MAX_CATEGORY = 64
_MAX_METADATA_BYTES = 4096
_MAX_INT = 2**31 - 1
_MAX_SAFE_INT = 2**53 - 1
_MAX_DEPTH = 32
_FIELDS = (*_TEXTS, "status", "user_id", "error", "timestamp", "attempt", "category", "metadata")

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.I | re.A)
_SURROGATE = re.compile("[\ud800-\udfff]")
_CATEGORY = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.(\d+))?)?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.A,
)
#: Path segments that look like a field. Others are the caller's own text, which no message may repeat.
_KNOWN_PART = re.compile(r"(/([a-z_]{1,32}|\d{1,4}))*(?=/|$)")

_REQUIRED = "This field is required."
_Problem = Tuple[str, str]


def find_problems(event: Any) -> List[FieldError]:
    """Checks a report as the API does. An empty list says that it is valid."""
    unsafe = _find_unsafe(event, 0)
    if unsafe is not None:
        pointer, code, message = unsafe
        known = _KNOWN_PART.match(pointer)
        return [FieldError(known.group() if known else "", code, message)]
    if not isinstance(event, dict):
        return [FieldError("", "invalid_type", "Must be an object.")]
    problems = [
        FieldError(f"/{name}", *problem)
        for name, check in _CHECKS.items()
        if (problem := check(event.get(name))) is not None
    ]
    if event.get("error") is not None:
        problems += _check_error(event["error"])
    elif not problems and event["status"] in _STATUSES_WITH_ERROR:
        problems.append(FieldError("/error", "missing_error", "This status requires an error."))
    return problems


def _find_unsafe(value: Any, depth: int) -> Optional[FieldError]:
    """Finds what no field may hold, as findUnsafeJson of packages/shared/src/json.ts does."""
    if isinstance(value, str):
        return _unsafe_text(value)
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        try:
            is_finite = abs(float(value)) < float("inf")
        except OverflowError:
            is_finite = False
        return None if is_finite else FieldError("", "number_out_of_range", "Number is out of range.")
    if not isinstance(value, (dict, list, tuple)):
        return FieldError("", "invalid", "It cannot be written as JSON.")
    if depth >= _MAX_DEPTH:
        return FieldError("", "too_deep", f"Nesting is deeper than {_MAX_DEPTH} levels.")
    for key, member in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(value, dict):
            if not isinstance(key, str):
                return FieldError("", "invalid", "It cannot be written as JSON.")
            if key in ("__proto__", "constructor", "prototype"):
                return FieldError("", "forbidden_key", "This key is not allowed.")
        found = _unsafe_text(str(key))
        if found is not None:
            return found
        found = _find_unsafe(member, depth + 1)
        if found is not None:
            if found.code == "too_deep":
                return found
            segment = str(key).replace("~", "~0").replace("/", "~1")
            return found._replace(pointer=f"/{segment}{found.pointer}")
    return None


def _unsafe_text(text: str) -> Optional[FieldError]:
    if "\0" in text:
        return FieldError("", "nul_character", "The NUL character is not allowed.")
    if _SURROGATE.search(text):
        return FieldError("", "lone_surrogate", "Text must be valid Unicode.")
    return None


def _check_text(value: Any, longest: int) -> Optional[_Problem]:
    if not isinstance(value, str):
        return "invalid_type", "Must be text."
    return _check_length(value, longest)


def _check_length(value: str, longest: int) -> Optional[_Problem]:
    if value == "":
        return "too_small", "Must be at least 1 characters long."
    return ("too_big", f"Must be at most {longest} characters long.") if len(value) > longest else None


def _check_notification_id(value: Any) -> Optional[_Problem]:
    if value is None:
        return "required", _REQUIRED
    return ("invalid", "Must not be a dot or two.") if value in (".", "..") else _check_text(value, 255)


def _check_choice(value: Any, choices: Sequence[str]) -> Optional[_Problem]:
    if value is None:
        return "required", _REQUIRED
    is_known = isinstance(value, str) and value in choices
    return None if is_known else ("invalid_value", f"Must be one of: {', '.join(choices)}.")


def _check_user_id(value: Any) -> Optional[_Problem]:
    if not isinstance(value, str):
        return "invalid_type", "Must be text."
    return None if _UUID.fullmatch(value) else ("invalid_format", "Use a UUID.")


def _check_category(value: Any) -> Optional[_Problem]:
    if not isinstance(value, str):
        return "invalid_type", "Must be text."
    if not _CATEGORY.fullmatch(value):
        return "invalid_format", "Use lower-case letters, digits, and . _ - after the first."
    return _check_length(value, _MAX_CATEGORY)


def _check_attempt(value: Any) -> Optional[_Problem]:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        return "invalid_type", "Must be a whole number."
    if value < 0:
        return "too_small", "Must be at least 0."
    return ("too_big", f"Must be at most {_MAX_INT}.") if value > _MAX_INT else None


def _check_timestamp(value: Any) -> Optional[_Problem]:
    if not isinstance(value, str):
        return "invalid_type", "Must be text."
    parts = _TIME.fullmatch(value)
    if parts is None:
        return "invalid_format", "Use ISO 8601 with an offset, for example 2026-01-31T12:00:00Z."
    year, month, day, hour, minute, second, fraction, sign, off_hours, off_minutes = parts.groups()
    try:
        # A year that leaps like all years 0 to 9999, because Python knows no year 0.
        datetime(int(year) % 400 + 400, int(month), int(day))
    except ValueError:
        return "invalid_format", "Use ISO 8601 with an offset, for example 2026-01-31T12:00:00Z."
    is_usable = False
    if int(year) >= 1969:
        try:
            local = datetime(
                int(year), int(month), int(day), int(hour), int(minute), int(second or 0),
                int(f"{fraction or ''}000"[:3]) * 1000,
            )  # fmt: skip
            offset = timedelta(hours=int(off_hours or 0), minutes=int(off_minutes or 0))
            utc = local + offset if sign == "-" else local - offset
            latest = datetime.now(timezone.utc).replace(tzinfo=None) + timedelta(days=1)
            is_usable = datetime(1970, 1, 1) <= utc <= latest
        except OverflowError:
            pass
    return None if is_usable else ("invalid", "The timestamp must be after 1970 and at most 24 hours ahead.")


def _check_metadata(value: Any) -> Optional[_Problem]:
    if not isinstance(value, dict):
        return "invalid_type", "Must be an object."
    if len(_to_json(value)) > _MAX_METADATA_BYTES:
        return "invalid", f"Metadata must be at most {_MAX_METADATA_BYTES} bytes of JSON."
    if _has_unsafe_int(value):
        message = "Whole numbers in metadata must be within ±(2^53 - 1). Send larger ones as text."
        return "number_out_of_range", message
    return None


def _has_unsafe_int(value: Any) -> bool:
    if isinstance(value, (int, float)):
        return value == int(value) and abs(value) > _MAX_SAFE_INT
    members = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return any(_has_unsafe_int(member) for member in members)


def _check_error(value: Any) -> List[FieldError]:
    if isinstance(value, str):
        problem = _check_length(value, _MAX_ERROR)
        return [] if problem is None else [FieldError("/error", *problem)]
    is_error = (
        isinstance(value, dict)
        and isinstance(value.get("message"), str)
        and isinstance(value.get("code"), (str, type(None)))
        and value.get("class") in (None, *_ERROR_CLASSES)
    )
    if not is_error:
        message = (
            f"Must be text of 1 to {_MAX_ERROR} characters, or an object with such a message and, where known, a code "
            f"(text of 1 to {_MAX_ERROR_CODE} characters) and a class ({', '.join(_ERROR_CLASSES)})."
        )
        return [FieldError("/error", "invalid_union", message)]
    lengths = {"code": _MAX_ERROR_CODE, "message": _MAX_ERROR}
    return [
        FieldError(f"/error/{name}", *problem)
        for name, longest in lengths.items()
        if value.get(name) is not None and (problem := _check_length(value[name], longest)) is not None
    ]


def _optional(check: Any) -> Any:
    return lambda value: None if value is None else check(value)


_CHECKS: Dict[str, Any] = {
    **{name: _optional(lambda value, most=most: _check_text(value, most)) for name, most in _TEXTS.items()},
    "notification_id": _check_notification_id,
    "notification_type": lambda value: _check_choice(value, get_args(NotificationType)),
    "status": lambda value: _check_choice(value, get_args(Status)),
    "user_id": _optional(_check_user_id),
    "timestamp": _optional(_check_timestamp),
    "attempt": _optional(_check_attempt),
    "category": _optional(_check_category),
    "metadata": _optional(_check_metadata),
}


def _to_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


# --- Sending ---

#: Most bytes and events in one request. The API takes 1 MiB.
_MAX_BATCH_BYTES = 1_000_000
_MAX_BATCH_EVENTS = 500
#: How long an event waits for others, in seconds.
_WINDOW = 0.005
_FIRST_DELAY = 0.1
_MAX_DELAY = 2.0


class _Waiting:
    """An event on its way. The caller may change its own dict meanwhile."""

    def __init__(self, json_text: bytes, event_id: str, deadline: float) -> None:
        self.json = json_text
        self.event_id = event_id
        #: By time.monotonic().
        self.deadline = deadline
        self.result: Future[Result] = Future()


class Producer:
    """Reports events. Threads may share one producer: it gathers their events into batches.

    Its threads start with the first event, and end with `close`. A process that forks must use it after the fork only.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        deadline_ms: float = 30_000,
        request_timeout_ms: float = 10_000,
        max_pending: int = 10_000,
    ) -> None:
        """
        url: base URL of the API. key: a service key with the scope `status:write:email` or `status:write:push`.
        deadline_ms: how long an event is tried. request_timeout_ms: longest silence of the API in a request.
        max_pending: most events on their way at once. Further ones are refused as `overloaded`.

        Raises ProducerError `invalid_options`, which shows no values.
        """
        if not _is_api_url(url):
            raise ProducerError("invalid_options", "url: Use a URL such as https://tidings.example.com, without a user.")
        if not isinstance(key, str) or not re.fullmatch(r"[\x21-\x7e]+", key):
            raise ProducerError("invalid_options", "key: Needs a service key.")
        if min(deadline_ms, request_timeout_ms, max_pending) < 1:
            raise ProducerError("invalid_options", "deadline_ms, request_timeout_ms, max_pending: Must be at least 1.")
        self._deadline = deadline_ms / 1000
        self._max_pending = max_pending
        self._waiting: Set[_Waiting] = set()
        self._lock = threading.Lock()
        self._closed = False
        parts = urlsplit(url)
        api = _Api(parts.scheme, parts.netloc, parts.path.rstrip("/"), key, request_timeout_ms / 1000, deadline_ms / 1000)
        self._senders = {type_: _Sender(type_, api, self._settle) for type_ in ("email", "push")}

    def report(self, event: Report) -> Receipt:
        """Reports one event. Returns when it is durable. Raises ProducerError otherwise."""
        (result,) = self.report_many([event])
        if isinstance(result, ProducerError):
            raise result
        return result

    def report_many(self, events: Sequence[Report]) -> List[Result]:
        """Reports many events, each by itself. Returns a Receipt or a ProducerError for each, in their order."""
        started = [self._start(event) for event in events]
        return [self._await(each) if isinstance(each, _Waiting) else each for each in started]

    def flush(self) -> None:
        """Returns when all events given so far are durable or refused."""
        self._await_all(None)

    def close(self, timeout_ms: float = 5_000) -> None:
        """Takes no more events, waits for those on their way, and refuses what is left as `closed`."""
        with self._lock:
            self._closed = True
        self._await_all(timeout_ms / 1000)
        for waiting in self._snapshot():
            self._settle(waiting, ProducerError("closed", "The producer was closed before the event was confirmed."))
        for sender in self._senders.values():
            sender.stop()

    def __enter__(self) -> Producer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, event: Report) -> Union[_Waiting, ProducerError]:
        problems = find_problems(event)
        if problems:
            return _invalid(problems)
        event_id = event.get("event_id") or _new_event_id()
        known = {name: event.get(name) for name in _FIELDS if event.get(name) is not None}
        known["event_id"] = event_id
        waiting = _Waiting(_to_json(known), event_id, time.monotonic() + self._deadline)
        with self._lock:
            if self._closed:
                return ProducerError("closed", "The producer is closed.")
            if len(self._waiting) >= self._max_pending:
                message = f"The producer already has {self._max_pending} events on their way."
                return ProducerError("overloaded", message)
            self._waiting.add(waiting)
        self._senders[event["notification_type"]].add(waiting)
        return waiting

    def _await(self, waiting: _Waiting) -> Result:
        try:
            return waiting.result.result(max(0.0, waiting.deadline - time.monotonic()))
        except FutureTimeout:
            return _late(waiting)

    def _await_all(self, seconds: Optional[float]) -> None:
        wait([waiting.result for waiting in self._snapshot()], timeout=seconds)

    def _snapshot(self) -> List[_Waiting]:
        with self._lock:
            return list(self._waiting)

    def _settle(self, waiting: _Waiting, outcome: Optional[ProducerError]) -> None:
        """Decides an event, once. None says that it is durable."""
        with self._lock:
            if waiting not in self._waiting:
                return
            self._waiting.remove(waiting)
        result: Result = Receipt(waiting.event_id)
        if outcome is not None:
            # An error may stand for a whole batch.
            result = ProducerError(
                outcome.code,
                str(outcome),
                fields=outcome.fields,
                retry_after_ms=outcome.retry_after_ms,
                event_id=waiting.event_id,
            )
            result.__cause__ = outcome.__cause__
        waiting.result.set_result(result)


def _is_api_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # Reading the port checks it.
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None and parts.port != 0
    except (ValueError, AttributeError):
        return False


def _invalid(fields: Sequence[FieldError]) -> ProducerError:
    texts = [f"{pointer[1:].replace('/', '.') or 'event'}: {message}" for pointer, _, message in fields]
    return ProducerError("invalid_event", f"The event is not valid. {' '.join(texts)}", fields=fields)


def _late(waiting: _Waiting) -> ProducerError:
    return ProducerError("unavailable", "The API did not confirm the event in time.", event_id=waiting.event_id)


def _new_event_id() -> str:
    """A UUID v7 (RFC 9562): the time in milliseconds, then random bits."""
    random_bits = uuid.uuid4().int & ~(0xFFFF_FFFF_FFFF << 80) & ~(0xF << 76)
    return str(uuid.UUID(int=(int(time.time() * 1000) << 80) | (7 << 76) | random_bits))


class _Sender:
    """Sends the events of one type: one request at a time."""

    def __init__(self, type_: str, api: _Api, settle: Any) -> None:
        self._path = f"/api/v1/{type_}/status/batch/"
        self._api = api
        self._settle = settle
        self._queue: Deque[_Waiting] = deque()
        #: Guards the queue and the thread.
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._thread: Optional[threading.Thread] = None
        self._connection: Optional[http.client.HTTPConnection] = None

    def add(self, waiting: _Waiting) -> None:
        with self._changed:
            self._queue.append(waiting)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tidings-producer", daemon=True)
                self._thread.start()
            self._changed.notify()

    def stop(self) -> None:
        """Gives up a request on its way."""
        self._stopping.set()
        with self._changed:
            self._changed.notify()
        connection = self._connection
        if connection is not None and connection.sock is not None:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        if self._thread is not None:
            self._thread.join(1)

    def _run(self) -> None:
        while not self._stopping.is_set():
            batch = self._take()
            try:
                self._send(batch)
            except Exception as cause:  # An event must not wait for ever, whatever happens.
                error = ProducerError("unavailable", "The event could not be sent.")
                error.__cause__ = cause
                self._settle_all(batch, error)
        self._disconnect()

    def _take(self) -> List[_Waiting]:
        with self._changed:
            while not self._queue and not self._stopping.is_set():
                self._changed.wait()
            window_ends = time.monotonic() + _WINDOW
            while len(self._queue) < _MAX_BATCH_EVENTS and not self._stopping.is_set():
                left = window_ends - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            batch: List[_Waiting] = []
            size = 0
            while self._queue and len(batch) < _MAX_BATCH_EVENTS:
                size += len(self._queue[0].json) + 1
                if size > _MAX_BATCH_BYTES and batch:
                    break
                batch.append(self._queue.popleft())
            return batch

    def _send(self, batch: List[_Waiting]) -> None:
        """Sends a batch until the API answers, or until no event has time left."""
        failed = 0
        pause = 0.0
        error: Optional[ProducerError] = None
        while not self._stopping.is_set():
            # An event whose next attempt would begin too late gets the reason of the last one.
            begins = time.monotonic() + pause
            for waiting in batch:
                if waiting.deadline <= begins:
                    self._settle(waiting, error or _late(waiting))
            batch = [waiting for waiting in batch if waiting.deadline > begins]
            if not batch or self._stopping.wait(pause):
                return
            try:
                outcomes = self._post(batch)
            except ProducerError as caught:
                error = caught
                if error.code != "unavailable":
                    self._settle_all(batch, error)
                    return
                # Each pause is shortened by up to half, so that producers spread out.
                pause = min(_FIRST_DELAY * 2**failed, _MAX_DELAY) * random.uniform(0.5, 1)
                pause += (error.retry_after_ms or 0) / 1000
                failed = min(failed + 1, 10)
                continue
            for waiting, outcome in zip(batch, outcomes):
                self._settle(waiting, outcome)
            return

    def _settle_all(self, batch: List[_Waiting], error: ProducerError) -> None:
        for waiting in batch:
            self._settle(waiting, error)

    def _post(self, batch: List[_Waiting]) -> List[Optional[ProducerError]]:
        self._api.check_pause()
        body = b'{"events":[' + b",".join(waiting.json for waiting in batch) + b"]}"
        if self._connection is None:
            self._connection = self._api.connect()
        try:
            self._connection.request("POST", self._api.path + self._path, body, self._api.headers)
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as cause:
            self._disconnect()
            raise ProducerError("unavailable", "The API did not answer.") from cause
        return self._api.read_answer(response.status, response.headers.get("Retry-After"), text, len(batch))

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class _Api:
    """Where the API is, and what its answers mean."""

    def __init__(self, scheme: str, netloc: str, path: str, key: str, timeout: float, longest_pause: float) -> None:
        self._scheme = scheme
        self._netloc = netloc
        self._timeout = timeout
        self._longest_pause = longest_pause
        self.path = path
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        #: The API asked for no request before this time, by time.monotonic().
        self._paused_until = 0.0

    def connect(self) -> http.client.HTTPConnection:
        if self._scheme == "https":
            return http.client.HTTPSConnection(self._netloc, timeout=self._timeout)
        return http.client.HTTPConnection(self._netloc, timeout=self._timeout)

    def check_pause(self) -> None:
        left = self._paused_until - time.monotonic()
        if left > 0:
            raise ProducerError("unavailable", "The API asked to wait.", retry_after_ms=left * 1000)

    def read_answer(
        self, status: int, retry_after: Optional[str], text: bytes, events: int
    ) -> List[Optional[ProducerError]]:
        """The outcome of each event: None for an accepted one."""
        if status == 202:
            return _read_results(text, events)
        message = _describe_answer(status)
        if status in (401, 403):
            raise ProducerError("unauthorized", message)
        if status < 500 and status not in (408, 429):
            raise ProducerError("refused", message)
        pause = _read_retry_after(retry_after)
        # A proxy may name an hour, or a date by another clock, and the API be back.
        self._paused_until = time.monotonic() + min(pause or 0, self._longest_pause)
        raise ProducerError("unavailable", message, retry_after_ms=None if pause is None else pause * 1000)


def _describe_answer(status: int) -> str:
    """Says what to do, where the producer does not try again."""
    answer = f"The API answered {status}"
    if status == 401:
        return f"{answer}. Is the service key right, and not revoked?"
    if status == 403:
        return f"{answer}. Does the service key have the scope status:write:email, or status:write:push for push?"
    if status < 400 or status == 404:
        return f"{answer}. Is the URL the base URL of the API?"
    return f"{answer}."


def _read_retry_after(value: Optional[str]) -> Optional[float]:
    """Reads the header Retry-After (RFC 9110, section 10.2.3), seconds or a date. Returns seconds from now."""
    if value is None:
        return None
    if re.fullmatch(r"\s*\d{1,9}\s*", value, re.A):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def _read_results(text: bytes, events: int) -> List[Optional[ProducerError]]:
    try:
        results = json.loads(text)["data"]
        if len(results) != events:
            raise ValueError("another number of results")
        return [_read_result(result) for result in results]
    except (ValueError, LookupError, TypeError) as cause:
        message = "The answer is not one of Tidings. Is the URL that of its API?"
        raise ProducerError("unavailable", message) from cause


def _read_result(result: Dict[str, Any]) -> Optional[ProducerError]:
    if result["accepted"] is True:
        return None
    if result["error"] == "conflict":
        return ProducerError("conflict", result["message"])
    fields = [FieldError(field["pointer"], field["code"], field["message"]) for field in result["errors"]]
    return _invalid(fields or [FieldError("", result["error"], result["message"])])
