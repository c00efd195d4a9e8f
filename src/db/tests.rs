//! The doors of the store.

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::kyc::status::Status;

fn open() -> (tempfile::TempDir, Db) {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(
        &folder.path().join("made/on/the/way.db"),
        Environment::Sandbox,
    )
    .unwrap();
    (folder, db)
}

fn register(conn: &mut Conn, user_id: &str) -> QueryResult<users::User> {
    let clock = Clock::system();
    let new = users::NewUser {
        id: clock.id(),
        partner: "acme",
        user_id,
        external_user_id: user_id,
        country: "DO",
        redirect_uri: None,
        status: Status::Pending,
        heard: false,
    };
    transitions::register(conn, &new, clock.now())
}

fn dump(conn: &mut Conn) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Object {
        #[diesel(sql_type = diesel::sql_types::Text)]
        sql: String,
    }
    let objects: Vec<Object> = diesel::sql_query(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE '\\_\\_%' ESCAPE '\\' ORDER BY sql",
    )
    .load(conn)
    .unwrap();
    objects.into_iter().map(|object| object.sql).collect()
}

#[test]
fn migrations_go_up_down_and_up_to_the_same_schema() {
    let mut conn = Conn::establish(":memory:").unwrap();
    conn.run_pending_migrations(MIGRATIONS).unwrap();
    let up = dump(&mut conn);
    conn.revert_all_migrations(MIGRATIONS).unwrap();
    assert_eq!(dump(&mut conn), Vec::<String>::new());
    conn.run_pending_migrations(MIGRATIONS).unwrap();
    assert_eq!(dump(&mut conn), up);
    assert!(up.len() >= 5);
}

#[test]
fn of_bodies_that_could_not_be_read_only_the_length_is_kept() {
    #[derive(QueryableByName, Debug, PartialEq, Eq)]
    struct Body {
        #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Binary>)]
        body: Option<Vec<u8>>,
        #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::BigInt>)]
        body_length: Option<i64>,
    }
    let mut conn = in_memory();
    while keeps_hashes(&mut conn) {
        conn.revert_last_migration(MIGRATIONS).unwrap();
    }
    conn.batch_execute(
        "INSERT INTO deliveries (id, partner, signature, body, outcome, repeats, received_at, last_received_at)
            VALUES ('d1', 'acme', x'01', x'4A6F73E9', 'unreadable', 0, 7, 7),
                ('d2', 'acme', x'02', x'7B7D', 'unmatched', 0, 7, 7)",
    )
    .unwrap();
    conn.run_pending_migrations(MIGRATIONS).unwrap();
    let bodies: Vec<Body> =
        diesel::sql_query("SELECT body, body_length FROM deliveries ORDER BY id")
            .load(&mut conn)
            .unwrap();
    let kept = |body: Option<&[u8]>, body_length| Body {
        body: body.map(<[u8]>::to_vec),
        body_length,
    };
    assert_eq!(bodies, [kept(None, Some(4)), kept(Some(b"{}"), None)]);
}

fn keeps_hashes(conn: &mut Conn) -> bool {
    dump(conn).iter().any(|sql| sql.contains("body_sha256"))
}

#[test]
fn what_was_stored_before_is_chained() {
    let mut conn = Conn::establish(":memory:").unwrap();
    conn.run_next_migration(MIGRATIONS).unwrap();
    conn.run_next_migration(MIGRATIONS).unwrap();
    conn.batch_execute(
        "INSERT INTO users (id, partner, user_id, external_user_id, country, attempt, status, source, version,
            created_at, updated_at, provider_word, failures)
         VALUES ('k1', 'acme', 'u1', 'e1', 'DO', 1, 'in_review', 'webhook', 3, 5, 7, 'PENDING', 2),
                ('k2', 'acme', 'u2', 'e2', 'DO', 1, 'pending', 'link', 1, 5, 5, NULL, 0);
         INSERT INTO deliveries (id, partner, user_key, attempt, external_user_id, family, event, signature, outcome,
            repeats, received_at, last_received_at)
         VALUES ('d1', 'acme', 'k1', 1, 'e1', 'KYC', 'CREATED_KYC', x'01', 'applied', 0, 6, 6),
                ('d2', 'acme', NULL, NULL, 'e3', 'KYC', 'CREATED_KYC', x'02', 'unmatched', 0, 6, 6),
                ('d3', 'acme', 'k1', 1, 'e1', 'KYC', 'REVIEW_NEEDED_KYC', x'03', 'applied', 1, 7, 8),
                ('d4', 'acme', NULL, NULL, NULL, NULL, NULL, x'04', 'unreadable', 0, 7, 7);
         INSERT INTO transitions (partner, seq, user_key, version, attempt, from_status, to_status, source, at)
         VALUES ('acme', 1, 'k1', 1, 1, NULL, 'pending', 'link', 5),
                ('acme', 2, 'k2', 1, 1, NULL, 'pending', 'link', 5),
                ('acme', 3, 'k1', 2, 1, 'pending', 'submitted', 'webhook', 6),
                ('acme', 4, 'k1', 3, 1, 'submitted', 'in_review', 'webhook', 7);
         INSERT INTO feeds VALUES ('acme', 4);",
    )
    .unwrap();
    conn.run_pending_migrations(MIGRATIONS).unwrap();
    for (user_id, last_delivery, last_transition) in [("u1", Some("d3"), 4), ("u2", None, 2)] {
        let user = users::find(&mut conn, "acme", user_id).unwrap().unwrap();
        assert_eq!(user.last_delivery.as_deref(), last_delivery);
        assert_eq!(user.last_transition, Some(last_transition));
        assert!(is_chained(&mut conn, &user));
    }
    let looked = looks::of(&mut conn, "k1").unwrap();
    assert_eq!(
        (looked.provider_word.as_deref(), looked.failures),
        (Some("PENDING"), 2)
    );
    let waiting = deliveries::unmatched(&mut conn, "acme", "e3").unwrap();
    assert_eq!(waiting[0].id, "d2");
    let user = register(&mut conn, "u3").unwrap();
    assert_eq!(user.last_transition, Some(5));
    let before = |conn: &mut Conn| {
        let (users, deliveries) = (
            schema::users::table.count(),
            schema::deliveries::table.count(),
        );
        let transitions = schema::transitions::table
            .count()
            .get_result::<i64>(conn)
            .unwrap();
        let users = users.get_result::<i64>(conn).unwrap();
        (
            users,
            deliveries.get_result::<i64>(conn).unwrap(),
            transitions,
        )
    };
    for _ in 0..3 {
        conn.revert_last_migration(MIGRATIONS).unwrap();
    }
    assert_eq!(before(&mut conn), (3, 4, 5));
}

#[test]
fn the_file_and_its_folder_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, _db) = open();
    let mode = |path: &str| {
        let metadata = folder.path().join(path).metadata().unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("made"), 0o700);
    assert_eq!(mode("made/on/the/way.db"), 0o600);
    assert_eq!(mode("made/on/the/way.db-wal"), 0o600);
}

#[tokio::test]
async fn a_change_that_panics_or_fails_leaves_nothing_and_the_next_one_goes_on() {
    let (_folder, db) = open();
    let panicked: Result<(), _> = db
        .write(|conn| {
            register(conn, "u1")?;
            panic!("on purpose")
        })
        .await;
    assert!(matches!(panicked, Err(Error::Misused(_))));
    let failed: Result<(), _> = db
        .write(|conn| {
            register(conn, "u1")?;
            Err(NOT_FOUND)
        })
        .await;
    assert!(matches!(failed, Err(Error::Misused(_))));
    let found = db.read(|conn| users::find(conn, "acme", "u1")).await;
    assert!(found.unwrap().is_none());
    db.write(|conn| register(conn, "u1")).await.unwrap();
}

#[tokio::test]
async fn a_read_only_connection_cannot_write() {
    let (_folder, db) = open();
    let error = db.read(|conn| register(conn, "u1")).await.unwrap_err();
    assert_eq!(error.trouble(), Trouble::ReadOnly, "{error}");
}

#[tokio::test]
async fn a_row_that_has_moved_on_is_not_overwritten() {
    let (_folder, db) = open();
    let user = db.write(|conn| register(conn, "u1")).await.unwrap();
    let now = user.created_at;
    let stale = user.clone();
    let touch = move |conn: &mut Conn| transitions::touch(conn, &user, user.clone(), now);
    assert_eq!(db.write(touch).await.unwrap().version, 2);
    let late = move |conn: &mut Conn| transitions::touch(conn, &stale, stale.clone(), now);
    assert!(db.write(late).await.is_err());
}

#[tokio::test]
async fn transitions_are_numbered_for_each_partner_without_gaps() {
    let (_folder, db) = open();
    let registered = db.write(|conn| {
        for number in 0..5 {
            register(conn, &format!("u{number}"))?;
        }
        schema::transitions::table
            .order(schema::transitions::seq)
            .select(schema::transitions::seq)
            .load::<i64>(conn)
    });
    assert_eq!(registered.await.unwrap(), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_word_that_is_not_ours_is_an_error_and_no_default() {
    let (_folder, db) = open();
    let user = db.write(|conn| register(conn, "u1")).await.unwrap();
    assert_eq!(user.status, Status::Pending);
    let refused = db
        .write(|conn| conn.batch_execute("UPDATE users SET status = 'golden'"))
        .await;
    assert!(refused.is_err(), "the column has a CHECK");
    let forced = "PRAGMA ignore_check_constraints = ON; UPDATE users SET status = 'golden'";
    db.write(move |conn| conn.batch_execute(forced))
        .await
        .unwrap();
    let found = db.read(|conn| users::find(conn, "acme", "u1")).await;
    assert!(matches!(found, Err(Error::Misused(_))));
}

/// Users of two partners, one registered each millisecond, whose ids begin alike in many ways.
fn crowd(conn: &mut Conn) {
    let clock = Clock::driven(crate::clock::Timestamp(1_800_000_000_000_000));
    for number in 0..300_usize {
        let partner = ["acme", "other"][number % 3 % 2];
        let (user_id, external) = (format!("u{}", number * 7 % 300), format!("e{number}"));
        let external = if number % 5 == 0 { &user_id } else { &external };
        let new = users::NewUser {
            id: clock.id(),
            partner,
            user_id: &user_id,
            external_user_id: external,
            country: ["DO", "MX"][number % 2],
            redirect_uri: None,
            status: Status::ALL[number % 5],
            heard: false,
        };
        transitions::register(conn, &new, clock.now()).unwrap();
        clock.advance(std::time::Duration::from_millis(1));
    }
}

/// Every page of the list, one after the other.
fn pages(conn: &mut Conn, filter: &users::Filter, limit: i64) -> Vec<users::UserNow> {
    let view = users::View {
        now: Timestamp(1_800_000_000_000_000),
        unconfirmed_for: std::time::Duration::from_secs(300),
    };
    let mut all: Vec<users::UserNow> = Vec::new();
    loop {
        let after = all.last().map(|user| user.id.clone());
        let page = users::list(conn, filter, view, after.as_deref(), limit).unwrap();
        let done = page.len() < usize::try_from(limit).unwrap();
        all.extend(page);
        if done {
            return all;
        }
    }
}

#[test]
fn a_search_finds_whom_going_through_all_would_find_in_the_same_order() {
    let mut conn = in_memory();
    crowd(&mut conn);
    let everybody = pages(&mut conn, &users::Filter::default(), 7);
    assert_eq!(everybody.len(), 300);
    for prefix in [
        "",
        "u",
        "u1",
        "u29",
        "e",
        "e7",
        "e299",
        "E",
        "u1%",
        "zz",
        "\u{10ffff}",
    ] {
        for (partner, status) in [
            (None, None),
            (Some("acme"), None),
            (None, Some(Status::Verified)),
        ] {
            let filter = users::Filter {
                prefix: Some(prefix.to_owned()),
                partner: partner.map(str::to_owned),
                status,
                ..users::Filter::default()
            };
            let found = pages(&mut conn, &filter, 3);
            let wanted = everybody.iter().filter(|user| {
                let begins =
                    user.user_id.starts_with(prefix) || user.external_user_id.starts_with(prefix);
                let whose = partner.is_none_or(|partner| user.partner == partner);
                begins && whose && status.is_none_or(|status| user.status == status)
            });
            let keys = |users: Vec<&users::UserNow>| {
                users.iter().map(|user| user.id.clone()).collect::<Vec<_>>()
            };
            assert_eq!(
                keys(found.iter().collect()),
                keys(wanted.collect()),
                "{prefix} {partner:?} {status:?}"
            );
        }
    }
}

#[test]
fn who_was_registered_in_a_span_of_time_is_found_to_the_millisecond() {
    let mut conn = in_memory();
    crowd(&mut conn);
    let at = |millis: i64| {
        Some(crate::clock::Timestamp(
            1_800_000_000_000_000 + millis * 1000,
        ))
    };
    for (from, before, found) in [
        (None, None, 300),
        (at(0), at(300), 300),
        (at(10), None, 290),
        (None, at(10), 10),
        (at(10), at(11), 1),
        (at(10), at(10), 0),
        (at(-5), at(1), 1),
        (at(300), None, 0),
    ] {
        let filter = users::Filter {
            registered_from: from,
            registered_before: before,
            ..users::Filter::default()
        };
        assert_eq!(
            pages(&mut conn, &filter, 500).len(),
            found,
            "{from:?} {before:?}"
        );
        let searched = users::Filter {
            prefix: Some("u".to_owned()),
            ..filter
        };
        assert_eq!(
            pages(&mut conn, &searched, 500).len(),
            found,
            "{from:?} {before:?}"
        );
    }
}

#[test]
fn the_first_transition_since_a_moment_is_found_without_going_through_all() {
    let mut conn = in_memory();
    let first_since =
        |conn: &mut Conn, since| transitions::first_since(conn, "acme", Timestamp(since)).unwrap();
    assert_eq!(first_since(&mut conn, 0), 1);
    // 10, 10, 20, 20, 30, 30, 40.
    for number in 2..9 {
        let user = format!("u{number}");
        let new = users::NewUser {
            id: user.clone(),
            partner: "acme",
            user_id: &user,
            external_user_id: &user,
            country: "DO",
            redirect_uri: None,
            status: Status::Pending,
            heard: false,
        };
        transitions::register(&mut conn, &new, Timestamp(number / 2 * 10)).unwrap();
    }
    let firsts = [0, 10, 11, 20, 30, 31, 40, 41].map(|since| first_since(&mut conn, since));
    assert_eq!(firsts, [1, 1, 3, 3, 5, 7, 7, 8]);
    let mut seen = Vec::new();
    transitions::outlines(&mut conn, "acme", 3..=5, |one| seen.push(one.at.0)).unwrap();
    assert_eq!(seen, [20, 20, 30]);
    assert_eq!(
        transitions::first_since(&mut conn, "other", Timestamp(0)),
        Ok(1)
    );
}
