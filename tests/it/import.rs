//! The command that loads users whom a partner has already, on the database of a running service.

use std::fmt::Write as _;
use std::path::Path;

use diesel::connection::SimpleConnection;
use futures_util::future::join;
use serde_json::json;

use crate::support::load::{Book, load};
use crate::support::process::{Process, file};
use crate::support::service::{Service, environment};
use crate::support::store::{check, connect, populate};
use crate::support::{ACME, OTHER, TestApp};

const CSV: &str = "\
status,userId,externalUserId,country
pending,u1,e1,DO
submitted,u2,e2,MX
in_review,u3,e3,US
verified,u4,e4,DO
rejected,u5,,ES
";

/// Exit code, standard output and standard error of an import for acme.
async fn import(app: &TestApp, content: &str) -> (i32, String, String) {
    let arguments = ["import", "--partner", "acme", "-"];
    let output = app.command_reads(&arguments, content).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

fn summary(new: u32, there: u32, bad: u32) -> String {
    format!("{new} loaded, {there} there already, {bad} bad\n")
}

#[actix_web::test]
async fn csv_is_loaded_and_the_service_answers_it() {
    let app = TestApp::new().await;
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "users.csv", CSV);
    let arguments = ["import", "--partner", "acme", path.to_str().unwrap()];
    let output = app.command(&arguments).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, summary(5, 0, 0).into_bytes());
    assert_eq!(output.stderr, b"", "no bar where there is no terminal");
    for (user_id, external, country, status, source) in [
        ("u1", "e1", "DO", "pending", "link"),
        ("u2", "e2", "MX", "submitted", "manual"),
        ("u3", "e3", "US", "in_review", "manual"),
        ("u4", "e4", "DO", "verified", "manual"),
        ("u5", "u5", "ES", "rejected", "manual"),
    ] {
        let user = app.user(user_id).await;
        assert_eq!(user["externalUserId"], external);
        assert_eq!(user["country"], country);
        assert_eq!(
            (&user["status"], &user["source"]),
            (&json!(status), &json!(source))
        );
        assert_eq!((&user["attempt"], &user["version"]), (&json!(1), &json!(1)));
        assert_eq!(
            user["decidedAt"].is_string(),
            user["final"] == true,
            "{user}"
        );
        let history = app.history(user_id).await;
        assert_eq!(history, [format!("1 ->{status} by {source}")]);
    }
    let other = app.get(OTHER, "/v1/kyc/users/u4").await;
    assert_eq!(other.status, 404);
}

#[actix_web::test]
async fn json_lines_are_loaded_from_standard_input() {
    let app = TestApp::new().await;
    let lines = r#"
        {"userId":"u1","externalUserId":"e1","country":"DO","status":"verified"}

        {"status":"rejected","country":"DO","userId":"u2","externalUserId":null}
    "#;
    assert_eq!(
        import(&app, lines).await,
        (0, summary(2, 0, 0), String::new())
    );
    assert_eq!(app.status("u1").await, "verified");
    assert_eq!(app.user("u2").await["externalUserId"], "u2");
}

#[actix_web::test]
async fn an_import_that_is_repeated_leaves_everybody_as_they_are_now() {
    let app = TestApp::new().await;
    import(&app, CSV).await;
    app.truth.says("u2", "APPROVED", "s1");
    app.deliver("VERIFIED_USER", "e2").await;
    app.look().await;
    let mut before = Vec::new();
    for user_id in ["u1", "u2", "u3", "u4", "u5"] {
        before.push((app.user(user_id).await, app.history(user_id).await));
    }
    assert_eq!(
        import(&app, CSV).await,
        (0, summary(0, 5, 0), String::new())
    );
    for (user_id, before) in ["u1", "u2", "u3", "u4", "u5"].into_iter().zip(before) {
        let after = (app.user(user_id).await, app.history(user_id).await);
        assert_eq!(after, before);
    }
    assert_eq!(app.status("u2").await, "verified");
}

#[actix_web::test]
async fn an_import_goes_on_where_one_before_was_cut_off() {
    let app = TestApp::new().await;
    let (first, _) = CSV.split_at(CSV.find("in_review").unwrap());
    assert_eq!(import(&app, first).await.1, summary(2, 0, 0));
    assert_eq!(import(&app, CSV).await.1, summary(3, 2, 0));
}

#[actix_web::test]
async fn every_bad_line_is_told_with_its_number_and_the_good_ones_are_loaded() {
    let app = TestApp::new().await;
    let csv = "userId,externalUserId,country,status\r\n\
        good1,e1,DO,verified\r\n\
        \r\n\
        bad id,e2,DO,verified\r\n\
        u3,\" e\r\n3\",DO,verified\r\n\
        u4,e4,XX,verified\r\n\
        u5,e5,DO,APPROVED\r\n\
        u6,e6,,\r\n\
        u7,e7,DO\r\n\
        good1,other,DO,verified\r\n\
        u8,e1,DO,verified\r\n\
        good1,e1,DO,rejected\r\n\
        good2,e9,DO,pending\r\n";
    let (code, said, reports) = import(&app, csv).await;
    assert_eq!((code, said), (1, summary(2, 1, 8)));
    let reports: Vec<&str> = reports.lines().collect();
    let beginnings = [
        "line 4: userId: Use 1 to 128",
        "line 5: externalUserId: Use 1 to 255",
        "line 7: country: Use one of these codes",
        "line 8: status: Use one of these words: pending,",
        "line 9: country is missing. status is missing.",
        "line 10: has 3 columns and not 4",
        "line 11: userId is here with another externalUserId",
        "line 12: externalUserId belongs to another user",
    ];
    assert_eq!(reports.len(), beginnings.len(), "{reports:?}");
    for (report, beginning) in reports.iter().zip(beginnings) {
        assert!(report.starts_with(beginning), "{report}");
        assert!(
            !report.contains("bad id") && !report.contains("APPROVED"),
            "{report}"
        );
    }
    let list = app.get(ACME, "/v1/kyc/users").await.json();
    assert_eq!(list["data"].as_array().unwrap().len(), 2, "{list}");
    assert_eq!(app.status("good1").await, "verified");
}

#[actix_web::test]
async fn a_bad_line_of_json_is_told_with_its_number_too() {
    let app = TestApp::new().await;
    let lines = "{\"userId\":\"u1\",\"country\":\"DO\",\"status\":\"verified\"}\n\
        {\"userId\":\"u2\"\n\
        \n\
        {\"userId\":\"u3\",\"country\":\"DO\",\"status\":\"verified\",\"name\":\"Eva\"}\n\
        {\"userId\":5,\"country\":\"DO\",\"status\":\"verified\"}\n";
    let (code, said, reports) = import(&app, lines).await;
    assert_eq!((code, said), (1, summary(1, 0, 3)));
    assert_eq!(
        reports,
        "line 2: is not JSON\n\
         line 4: is not an object with each of userId, externalUserId, country and status once and nothing else\n\
         line 5: userId is not a string.\n"
    );
}

#[actix_web::test]
async fn columns_that_are_not_the_known_ones_are_an_error_before_anything_is_loaded() {
    let app = TestApp::new().await;
    for (header, told) in [
        ("userId,country,status,name", "another name in column 4"),
        ("userId,country,status,userId", "has userId twice"),
        ("userId,country,externalUserId", "lacks status"),
        ("", "it is empty"),
    ] {
        let (code, said, reports) = import(&app, &format!("{header}\n")).await;
        assert_eq!((code, said.as_str()), (1, ""));
        assert!(
            reports.lines().count() == 1 && reports.contains(told),
            "{reports}"
        );
    }
    let headless = import(&app, "eva@example.com,e1,DO,verified\n").await;
    assert!(
        headless.0 == 1 && !headless.2.contains("eva"),
        "{headless:?}"
    );
}

#[actix_web::test]
async fn a_webhook_that_waited_counts_as_soon_as_its_user_is_imported() {
    let app = TestApp::new().await;
    app.deliver("CREATED_KYC", "e1").await;
    app.deliver("REJECTED_KYC", "e4").await;
    assert_eq!(import(&app, CSV).await.0, 0);
    assert_eq!(app.status("u1").await, "submitted");
    assert_eq!(app.user("u4").await["needsConfirmation"], true);
    let outcomes = app.outcomes().await;
    assert_eq!(
        outcomes,
        [("applied".to_owned(), 0), ("held".to_owned(), 0)]
    );
}

#[actix_web::test]
async fn a_rejection_of_an_imported_verified_user_is_held() {
    let app = TestApp::new().await;
    import(&app, CSV).await;
    app.deliver("REJECTED_KYC", "e4").await;
    let user = app.user("u4").await;
    assert_eq!(
        (&user["status"], &user["needsConfirmation"]),
        (&json!("in_review"), &json!(true))
    );
    assert_eq!(app.outcomes().await, [("held".to_owned(), 0)]);
}

#[actix_web::test]
async fn imported_users_are_looked_at_from_time_to_time() {
    let app = TestApp::new().await;
    import(&app, CSV).await;
    for user_id in ["u1", "u2", "u3", "u4", "u5"] {
        let looks = app.looks(user_id).await;
        assert!(looks["nextLookAt"].is_string(), "{looks}");
    }
    let why = app.command(&["why", "acme", "u4"]).await;
    let said = String::from_utf8(why.stdout).unwrap();
    assert!(said.contains("because it was imported so"), "{said}");
}

#[actix_web::test]
async fn a_partner_that_the_settings_do_not_have_and_a_file_that_is_not_there_are_errors() {
    let app = TestApp::new().await;
    for (partner, path, told) in [
        (
            "nobody",
            "-",
            "no partner of the configuration is called nobody",
        ),
        (
            "acme",
            "/nowhere/users.csv",
            "cannot open /nowhere/users.csv",
        ),
    ] {
        let output = app.command(&["import", "--partner", partner, path]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(said.lines().count() == 1 && said.contains(told), "{said}");
    }
    assert_eq!(
        app.command(&["import", "users.csv"]).await.status.code(),
        Some(2)
    );
}

/// Begins an import for acme into that file, of so many users whom it does not have.
fn begin_import(database: &Path, users: u32) -> Process {
    let mut csv = "userId,externalUserId,country,status\n".to_owned();
    for user in 0..users {
        writeln!(csv, "new{user},,DO,pending").unwrap();
    }
    let csv = file(database.parent().unwrap(), "users.csv", &csv);
    let arguments = ["import", "--partner", "acme", csv.to_str().unwrap()];
    Process::start(&arguments, &environment(database))
}

#[actix_web::test]
async fn a_service_that_is_busy_and_an_import_beside_it_keep_each_other_from_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("kyc.db");
    populate(&database, 1000);
    let service = Service::start(&database).await;
    let (book, users) = (Book::default(), 5000);
    let mut import = begin_import(&database, users);
    let loaded = std::cell::Cell::new(false);
    let done = async {
        let status = import.exit_status().await;
        loaded.set(true);
        status
    };
    let busy = load(&service.address, &book, |_| loaded.get());
    let ((), status) = join(busy, done).await;
    assert_eq!(status.code(), Some(0), "{}", import.stderr());
    assert_eq!(import.stdout(), summary(users, 0, 0));
    assert_eq!(book.refused(), 0, "{:?}", book.refused.borrow().first());
    assert!(book.acknowledged() > 0);
    check(&database, &book);
}

#[actix_web::test]
async fn an_import_outlasts_a_lock_that_is_held_longer_than_a_write_waits() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("kyc.db");
    populate(&database, 1);
    drop(Service::start(&database).await);
    let mut other = connect(&database);
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let mut import = begin_import(&database, 10);
    // A change waits for five seconds, and then says so and is tried again.
    import
        .until(async |process| process.stderr().contains("trying again").then_some(()))
        .await;
    other.batch_execute("ROLLBACK").unwrap();
    let status = import.exit_status().await;
    assert_eq!(status.code(), Some(0), "{}", import.stderr());
    assert_eq!(import.stdout(), summary(10, 0, 0));
}
