"""hub_project.database_options: what PostgreSQL makes of them, and who goes before."""

from __future__ import annotations

import pytest

from hub_project import database_options, env


def connect(url: str, tmp_path):
    import psycopg  # Only machines with PostgreSQL need it.

    database = env.read_database({"DATABASE_URL": url}, tmp_path)
    options = database_options.postgresql(database.get("OPTIONS", {}))
    return psycopg.connect(url.partition("?")[0], **options)


def test_a_silent_server_is_given_up_before_long():
    options = database_options.postgresql({})
    silence = options["keepalives_interval"] * options["keepalives_count"]
    assert options["keepalives_idle"] + silence < 20
    # It waits for who is stopped in a transaction, but not for much longer.
    assert 10_000 < options["tcp_user_timeout"] < 20_000
    assert options["connect_timeout"] <= 5


def test_postgresql_takes_them(postgres_url, tmp_path):
    with connect(postgres_url, tmp_path) as connection:
        found = connection.execute(
            "SELECT current_setting('synchronous_commit'),"
            " current_setting('transaction_isolation'),"
            " current_setting('idle_in_transaction_session_timeout')"
        ).fetchone()
        given = connection.info.get_parameters()
    assert found == ("on", "read committed", "10s")
    assert (given["connect_timeout"], given["tcp_user_timeout"]) == ("5", "15000")


def test_the_url_goes_before_but_not_before_what_acks_rest_on(postgres_url, tmp_path):
    words = (
        "-c%20idle_in_transaction_session_timeout%3D7s%20-c%20work_mem%3D5MB"
        "%20-c%20synchronous_commit%3Doff"
        "%20-c%20default_transaction_isolation%3Dserializable"
    )
    url = f"{postgres_url}?connect_timeout=9&tcp_user_timeout=0&options={words}"
    with connect(url, tmp_path) as connection:
        found = connection.execute(
            "SELECT current_setting('synchronous_commit'),"
            " current_setting('transaction_isolation'),"
            " current_setting('idle_in_transaction_session_timeout'),"
            " current_setting('work_mem')"
        ).fetchone()
        given = connection.info.get_parameters()
    assert found == ("on", "read committed", "7s", "5MB")
    assert given["connect_timeout"] == "9"


def test_who_is_stopped_with_a_lock_does_not_hold_up_others_for_ever(
    postgres_url, tmp_path
):
    import psycopg

    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute("CREATE TABLE IF NOT EXISTS held (id int PRIMARY KEY)")
        other.execute("INSERT INTO held VALUES (1) ON CONFLICT DO NOTHING")
        stopped = connect(postgres_url, tmp_path)
        stopped.execute("SET idle_in_transaction_session_timeout = '200ms'")
        stopped.commit()
        stopped.execute("SELECT * FROM held FOR UPDATE")
        other.execute("SET lock_timeout = '30s'")
        assert other.execute("SELECT * FROM held FOR UPDATE").fetchall() == [(1,)]
        # As Django calls it: what a process has to repeat when it wakes.
        with pytest.raises((psycopg.InternalError, psycopg.OperationalError)):
            stopped.execute("SELECT 1")
        stopped.close()
        other.execute("DROP TABLE held")


@pytest.mark.parametrize(
    "options, interval",
    [("", "5s"), ("?options=-c%20client_connection_check_interval%3D0", "0")],
    ids=["unset", "a server that knows it not"],
)
def test_what_nobody_waits_for_ends_unless_the_url_says_otherwise(
    postgres_url, tmp_path, options, interval
):
    with connect(f"{postgres_url}{options}", tmp_path) as connection:
        found = connection.execute("SHOW client_connection_check_interval").fetchone()
        words = connection.info.get_parameters()["options"]
    assert found == (interval,)
    # A server on Windows would not even hear the second word.
    assert words.count("client_connection_check_interval") == 1
