"""The tick, the workers as threads, and the two questions of whoever watches the service."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from ivr.refresh import refresh_work, scheduled_work
from pbxadmin.audit.triggers import triggers_install, triggers_remove
from pbxadmin.ops import health
from pbxadmin.ops import tick as ticking
from pbxadmin.ops import workers as working
from pbxadmin.ops.models import PeriodicJob
from pbxadmin.ops.tick import kicks_forget, last_tick, tick
from pbxadmin.ops.workers import Workers
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def done(monkeypatch):
    """The jobs of a tick, replaced by one that says that it ran."""
    done = []
    monkeypatch.setattr(ticking, "JOBS", (lambda: done.append("ran"),))
    return done


def test_one_of_many_threads_wins_a_turn(done):
    def try_it(_):
        try:
            return tick()
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(try_it, range(8)))

    assert won.count(True) == 1
    assert done == ["ran"]


def test_the_next_turn_comes_when_it_is_due(done):
    assert tick()
    assert not tick()

    PeriodicJob.objects.update(due_at=timezone.now() - timedelta(seconds=1))

    assert tick()
    assert done == ["ran", "ran"]


def test_a_tick_is_due_ten_seconds_after_the_last(done):
    before = timezone.now()

    with time_machine.travel(before, tick=False):
        tick()

    row = PeriodicJob.objects.get()
    assert timedelta(seconds=9) < row.due_at - before < timedelta(seconds=11)
    assert row.done_at >= before


def test_a_job_that_fails_does_not_stop_the_others(monkeypatch, caplog):
    done = []

    def fails():
        raise RuntimeError("no")

    monkeypatch.setattr(ticking, "JOBS", (lambda: done.append(1), fails, lambda: done.append(2)))

    assert tick()

    assert done == [1, 2]
    assert last_tick() is not None
    assert "tick: fails failed" in caplog.text


@pytest.fixture
def fast(monkeypatch, done):
    """Workers without their long waits."""
    monkeypatch.setattr(working, "INTERVAL_S", 0.02)
    monkeypatch.setattr(working, "RESTART_AFTER_S", 0.02)
    monkeypatch.setattr(ticking, "LOOK_S", 0.02)


@pytest.fixture
def workers(fast):
    workers = Workers(2)
    yield workers
    workers.stop()
    assert not any(thread.is_alive() for thread in workers.threads)


def test_workers_tick_and_stop_when_told(workers, done):
    workers.start()

    assert until(lambda: done)
    assert until(lambda: len(workers.working) == 2)

    workers.stop()

    assert [thread.is_alive() for thread in workers.threads] == [False] * 4  # two workers, the tick, the event sink


@pytest.mark.parametrize(
    ("count", "served"),
    [(1, [3]), (2, [2, 3]), (3, [1, 2, 3]), (5, [1, 2, 3, 3, 3])],
)
def test_a_thread_stays_free_for_people_and_the_last_does_everything(count, served):
    """Of default, batches and readings, in this order."""
    found = [working.queues_of(place, count) for place in range(count)]

    assert [len(queues) for queues in found] == served
    assert all(queues[0] == "default" for queues in found)
    assert found[-1][-1] == scheduled_work.queue_name


def test_a_worker_that_dies_is_started_anew(workers, monkeypatch, caplog):
    """The first two cannot wait for work; those that come after them can."""
    made, real = [], working.new_worker

    def new_worker(queues):
        worker = real(queues)
        made.append(worker)
        if len(made) <= 2:
            worker.interval = "soon"  # which sleep() does not take
        return worker

    monkeypatch.setattr(working, "new_worker", new_worker)
    workers.start()

    assert until(lambda: len(made) >= 4)
    assert until(lambda: all(worker in made[2:] for worker in workers.working.values()))
    assert "died and is started anew" in caplog.text


def test_a_tick_without_database_is_tried_again(workers, monkeypatch, done, caplog):
    failures = [RuntimeError("away"), RuntimeError("away")]
    real = ticking.tick

    def away_at_first():
        if failures:
            raise failures.pop()
        return real()

    monkeypatch.setattr(ticking, "tick", away_at_first)
    workers.start()

    assert until(lambda: done)
    assert caplog.text.count("tick: no turn") == 2


@pytest.fixture
def ticked():
    PeriodicJob.objects.create(name="tick", due_at=timezone.now(), done_at=timezone.now())


@pytest.fixture
def reasons(caplog, monkeypatch):
    """What the log says of being ready, a line for each change, in a process that has said nothing yet."""
    monkeypatch.setattr(health, "last_said", health.LastSaid())
    return lambda: [record.getMessage() for record in caplog.records if record.name == health.__name__]


def readiness(client):
    """Everything that the answer says."""
    answer = client.get("/readyz")
    return answer.status_code, answer.json()


OK, NOT_READY = (200, {"status": "ok"}), (503, {"status": "not ready"})


def test_a_living_process_says_so_without_the_database(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = client.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_is_a_database_with_its_triggers_and_a_recent_tick(client, ticked, reasons):
    assert readiness(client) == OK

    assert reasons() == []


def test_not_ready_before_the_first_tick(client, reasons):
    assert readiness(client) == NOT_READY

    assert reasons() == ["not ready: no worker ticked within a minute: is serve or work running?"]


def test_the_log_says_a_reason_once_and_when_it_is_gone(client, reasons):
    assert [readiness(client) for _ in range(3)] == [NOT_READY] * 3

    PeriodicJob.objects.create(name="tick", due_at=timezone.now(), done_at=timezone.now())

    assert [readiness(client) for _ in range(3)] == [OK] * 3
    assert [line.partition(":")[0] for line in reasons()] == ["not ready", "ready again"]


def test_asking_again_and_again_reads_no_migration_from_the_disk(client, ticked, monkeypatch):
    readiness(client)
    monkeypatch.setattr(MigrationLoader, "load_disk", lambda self: pytest.fail("read again"))

    assert readiness(client) == OK


@pytest.mark.parametrize(("seconds", "status"), [(55, 200), (65, 503)])
def test_not_ready_when_the_last_tick_is_older_than_a_minute(client, ticked, seconds, status):
    PeriodicJob.objects.update(done_at=timezone.now() - timedelta(seconds=seconds))

    assert readiness(client)[0] == status


def test_not_ready_when_a_trigger_of_the_log_is_missing(client, ticked, reasons):
    triggers_remove(connection)
    try:
        assert readiness(client) == NOT_READY
    finally:
        triggers_install(connection)

    assert reasons()[0].startswith("not ready: the audit log has no trigger audit_event_no_")


def test_not_ready_when_migrations_are_not_applied(client, ticked, reasons):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_migrations SET name = 'x' WHERE app = 'ops' AND name = '0001_initial'")
    try:
        assert readiness(client) == NOT_READY
    finally:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE django_migrations SET name = '0001_initial' WHERE app = 'ops' AND name = 'x'")

    assert reasons() == ["not ready: migrations are not applied: run manage.py migrate"]


def test_not_ready_without_database_and_alive_all_the_same(client, monkeypatch, reasons):
    connection.close()
    name = "/nowhere/at/all.sqlite3" if connection.vendor == "sqlite" else "nowhere_at_all"
    monkeypatch.setitem(connection.settings_dict, "NAME", name)
    try:
        assert readiness(client) == NOT_READY
        assert client.get("/healthz").status_code == 200
    finally:
        connection.close()
        monkeypatch.undo()
    assert reasons() == ["not ready: the database does not answer"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_both_questions_are_only_asked(client, path):
    assert client.post(path).status_code == 405


def test_kicks_that_were_given_out_long_ago_are_forgotten():
    refresh_work.enqueue(1)
    DBTaskResult.objects.update(started_at=timezone.now() - timedelta(hours=25), status="RUNNING")
    refresh_work.enqueue(2)
    refresh_work.enqueue(3)
    DBTaskResult.objects.filter(args_kwargs__args=[3]).update(started_at=timezone.now())

    kicks_forget()

    assert sorted(kick.args_kwargs["args"] for kick in DBTaskResult.objects.all()) == [[2], [3]]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_are_answered_past_the_proxy(client, settings, path):
    """The health check of the image asks over HTTP: sent on to the site, it finds nobody there."""
    settings.SECURE_SSL_REDIRECT = True
    assert client.get("/").status_code == 301
    assert client.get(path).status_code in (200, 503)
