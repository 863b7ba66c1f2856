"The store where things go wrong: a full disk, a lock that is kept, a server for a file, a store from the future."

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from medllm_nb.serve import auth, audit_trail, store
from medllm_nb.serve.database import StoreBusy, StoreError, StoreFull, now, open_store
from medllm_nb.serve.store import AnswerRecord, FeedbackRecord, RatingRecord, SubmissionRecord

KEY32 = b"k" * 32


def submission(user="ada", size=100):
    return SubmissionRecord(
        user=user, report_id="r", patient_key="p", format="txt", text="O'Connell " * (size // 10), deidentified="Mercer"
    )


def fill(db):
    "A submission with an answer, a flag and a rating."
    for name in ("ada", "rita"):
        auth.add_user(db, name, "correct horse battery", ["reviewer"])
    s = store.add(db, submission(), "ada")
    a = store.add(
        db,
        AnswerRecord(
            submission_id=s.id,
            user="ada",
            task="summary",
            model_text="Mercer",
            model_version="m",
            upstream="u",
            seconds=1.0,
        ),
        "ada",
    )
    store.add(db, FeedbackRecord(answer_id=a.id, user="ada", action="flag_wrong", text_deid="Mercer"), "ada")
    return s, a


def test_a_full_disk_is_said_and_what_was_kept_stays(tmp_path):
    "The file may not grow past some pages (SQLite's max_page_count gives the error that a full disk gives)."
    db = open_store(str(tmp_path / "medllm.db"), KEY32)
    auth.add_user(db, "ada", "correct horse battery", ["clinician"])
    with db.engine.connect() as c:
        pages = c.exec_driver_sql("PRAGMA page_count").scalar()

    @sa.event.listens_for(db.engine, "connect")
    def limit(connection, record):
        connection.execute(f"PRAGMA max_page_count = {pages + 40}")

    db.engine.dispose()
    kept = []
    with pytest.raises(StoreFull, match="free some space"):
        for _ in range(200):
            kept.append(store.add(db, submission(size=4000), "ada").id)
    assert kept and [s.id for s in store.submissions(db)] == kept
    assert audit_trail.check(db).whole and audit_trail.rows(db)[0]["object"] == kept[-1]
    db.close()


def test_a_real_full_disk(tmp_path):
    "On a file system of 1 MiB, where one may be mounted."
    mount = tmp_path / "small"
    mount.mkdir()
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)], capture_output=True
        ).returncode
    ):
        pytest.skip("may not mount a file system here")
    try:
        db = open_store(str(mount / "medllm.db"), KEY32)
        auth.add_user(db, "ada", "correct horse battery", ["clinician"])
        kept = []
        with pytest.raises(StoreFull):
            for _ in range(200):
                kept.append(store.add(db, submission(size=20_000), "ada").id)
        assert kept and [s.id for s in store.submissions(db)] == kept and audit_trail.check(db).whole
        db.close()
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_a_writer_that_holds_the_store_makes_others_wait_and_then_say_so(tmp_path, monkeypatch):
    db = open_store(str(tmp_path / "medllm.db"), KEY32)
    auth.add_user(db, "ada", "correct horse battery", ["clinician"])

    def wait_at_most(seconds):
        "How long a writer waits for another from now on."
        monkeypatch.setattr("medllm_nb.serve.database.BUSY_S", seconds)
        db.engine.dispose()

    wait_at_most(0.1)
    with db.writing() as session:  # a writer that never ends
        session.execute(sa.text("UPDATE users SET failures = 0"))
        assert store.submissions(db) == [], "readers read on"
        with pytest.raises(StoreBusy):
            store.add(db, submission(), "ada")

    wait_at_most(600)
    with ThreadPoolExecutor(1) as pool:
        with db.writing() as session:
            session.execute(sa.text("UPDATE users SET failures = 0"))
            other = pool.submit(store.add, db, submission(), "ada")
            assert not other.done(), "it cannot write yet"
        assert other.result().id, "a lock that is given back is waited for"
    db.close()


def test_a_newer_store_is_refused(tmp_path):
    db = open_store(str(tmp_path / "medllm.db"), KEY32)
    with db.writing() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    db.close()
    with pytest.raises(StoreError, match="newer version"):
        open_store(str(tmp_path / "medllm.db"), KEY32)


def test_nothing_of_a_patient_is_on_disk_in_the_clear(tmp_path):
    db = open_store(str(tmp_path / "medllm.db"), KEY32)
    fill(db)
    on_disk = b"".join(p.read_bytes() for p in tmp_path.iterdir())
    assert b"O'Connell" not in on_disk and b"ada" not in on_disk
    with db.reading() as session:
        assert b"Connell" not in session.scalar(sa.text("SELECT sealed FROM submissions")), (
            "sealed within the encrypted file too"
        )
    db.close()


def test_errors_do_not_quote_what_was_written(tmp_path):
    db = open_store(str(tmp_path / "medllm.db"), KEY32)
    with pytest.raises(StoreError) as e:
        store.add(db, submission(user="nobody"), "nobody")
    assert "Connell" not in str(e.value) and e.value.__cause__ is None and e.value.__suppress_context__
    db.close()


def test_postgresql_keeps_the_same_promises(postgres):
    db = open_store(postgres, KEY32)
    s, a = fill(db)
    assert (
        store.load_submission(db, s.id, "ada").text.startswith("O'Connell")
        and store.load_submission(db, s.id, "rita") is None
    )
    assert [f.action for f, *_ in store.flagged_answers(db)] == ["flag_wrong"] and store.usage(db)[0]["flag_wrong"] == 1
    store.add(
        db,
        RatingRecord(answer_id=a.id, reviewer="rita", correct=1, complete=1, harmful=1, style=1, verdict="uphold"),
        "rita",
    )
    assert store.flagged_answers(db) == []
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: audit_trail.append(db, "ada", "sign-in"), range(40)))
    assert audit_trail.check(db).whole
    for statement in ("UPDATE audit SET actor = 'eve'", "DELETE FROM audit"):
        with pytest.raises(StoreError, match="only grows"):
            with db.writing() as session:
                session.execute(sa.text(statement))
    with db.writing() as session:
        session.execute(sa.text("DROP TRIGGER audit_no_delete ON audit"))
        session.execute(sa.text("DELETE FROM audit WHERE seq = 3"))
    assert audit_trail.check(db).problem == "row 3 is missing"
    assert store.expire(db, 1, now() + timedelta(days=2)) == 1 and store.answers(db) == []
    db.close()
