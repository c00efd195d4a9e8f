//! What stops the program before it serves: the wrong environment, a newer database, a filter or a machine that cannot work.

use std::path::Path;
use std::process::Output;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use kyc_tracker::config::Environment;
use kyc_tracker::db::Db;
use reqwest::Method;

use crate::support::process::{Process, file, program};
use crate::support::{TestApp, settings};

const NOWHERE: &str = "http://127.0.0.1:9";

/// Runs the program on the database in the folder, with these variables besides.
fn run(folder: &Path, arguments: &[&str], more: &[(&str, &str)]) -> Output {
    let mut program = program(arguments);
    program.envs(settings(folder, NOWHERE));
    program.envs(more.iter().copied());
    program.output().unwrap()
}

/// The exit code and what was said, which must be one line.
fn refused(output: &Output) -> (Option<i32>, String) {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    (output.status.code(), said)
}

/// Every command that opens the database with the settings; last the one that would not end by itself.
fn on_the_database(users: &str) -> [Vec<&str>; 4] {
    [
        vec!["import", "--partner", "acme", users],
        vec!["why", "acme", "u1"],
        vec!["reconcile", "--all"],
        vec!["serve"],
    ]
}

#[test]
fn a_database_of_another_environment_is_exit_code_2_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let users = file(
        folder.path(),
        "users.csv",
        "userId,externalUserId,country,status\n",
    );
    drop(Db::open(&folder.path().join("kyc.db"), Environment::Sandbox).unwrap());
    let production = [("KYC__PROVIDER__ENVIRONMENT", "production")];
    for arguments in on_the_database(users.to_str().unwrap()) {
        let (code, said) = refused(&run(folder.path(), &arguments, &production));
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(
            said.contains("provider.environment: is production"),
            "{said}"
        );
        assert!(said.contains("belongs to sandbox"), "{said}");
    }
    let imported = run(
        folder.path(),
        &["import", "--partner", "acme", users.to_str().unwrap()],
        &[],
    );
    assert_eq!(imported.status.code(), Some(0), "{imported:?}");
}

#[test]
fn a_database_of_a_newer_version_is_exit_code_1_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let users = file(
        folder.path(),
        "users.csv",
        "userId,externalUserId,country,status\n",
    );
    let path = folder.path().join("kyc.db");
    drop(Db::open(&path, Environment::Sandbox).unwrap());
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    conn.batch_execute(
        "INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231235959')",
    )
    .unwrap();
    for arguments in on_the_database(users.to_str().unwrap()) {
        let (code, said) = refused(&run(folder.path(), &arguments, &[]));
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
        assert!(
            said.contains("newer version") && said.contains("99991231235959"),
            "{said}"
        );
    }
}

#[test]
fn an_unusable_rust_log_is_exit_code_2_and_named() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["check-config"][..],
        &["serve"],
        &["demo", "--port", "0", "--sandbox-port", "0"],
    ] {
        for wrong in ["inof", "info,kyc_tracker=loud"] {
            let (code, said) = refused(&run(folder.path(), arguments, &[("RUST_LOG", wrong)]));
            assert_eq!(code, Some(2), "{arguments:?}: {said}");
            assert!(
                said.starts_with("kyc-tracker: RUST_LOG: has a level"),
                "{said}"
            );
        }
    }
    for right in ["", "debug", "warn,kyc_tracker::web=debug"] {
        let output = run(folder.path(), &["check-config"], &[("RUST_LOG", right)]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

#[actix_web::test]
async fn without_ca_certificates_it_says_what_to_install_and_the_demo_starts() {
    let folder = tempfile::tempdir().unwrap();
    let empty = file(folder.path(), "empty.pem", "");
    let none = ("SSL_CERT_FILE", empty.to_str().unwrap());
    let https = ("KYC__PROVIDER__BASE_URL", "https://staging-api.capa.fi");
    for command in ["check-config", "serve"] {
        let output = run(folder.path(), &[command], &[none, https]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}: {said}");
        assert!(said.contains("ca-certificates"), "{command}: {said}");
        assert!(output.stdout.is_empty(), "{command}");
    }
    let plain = run(folder.path(), &["check-config"], &[none]);
    assert_eq!(plain.status.code(), Some(0), "{plain:?}");
    let none = [(none.0.to_owned(), none.1.to_owned())];
    let mut demo = Process::start(&["demo", "--port", "0", "--sandbox-port", "0"], &none);
    demo.until(async |demo| Some(()).filter(|()| demo.stdout().contains("\nData ")))
        .await;
}

#[actix_web::test]
async fn the_process_says_which_environment_it_serves() {
    let app = TestApp::new().await;
    let answer = app.send(app.request(Method::GET, "/healthz")).await;
    assert_eq!(answer.text, r#"{"status":"ok","environment":"sandbox"}"#);
    let production = TestApp::with(&[("KYC__PROVIDER__ENVIRONMENT", "production")]).await;
    let answer = production
        .send(production.request(Method::GET, "/healthz"))
        .await;
    assert_eq!(answer.json()["environment"], "production");
}
