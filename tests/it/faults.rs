//! The store is in trouble while the service runs: full, locked, failing. It says so, goes on answering where users stand
//! if it can, acknowledges nothing that it has not stored, and is well again when the trouble is over.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::result::DatabaseErrorKind;
use futures_util::future::{join, join3};
use kyc_tracker::db::{Conn, QueryResult, Trouble};
use reqwest::Method;

use crate::support::TestApp;
use crate::support::disk::{Disk, does, format};
use crate::support::load::{Book, CLIENTS, load};
use crate::support::process::program;
use crate::support::service::{Service, environment};
use crate::support::store::{check, connect, populate};
use crate::support::torture::skip;

const USERS: u64 = 500;
const MOUNTS: &str = "it needs the right to mount";

/// Fails unless all that was refused was told to come again because of the store.
fn check_refusals(book: &Book) {
    let refused = book.refused.borrow();
    assert!(!refused.is_empty());
    for (_, answer) in refused.iter() {
        let told = answer.starts_with("HTTP/1.1 503 ")
            && answer.to_lowercase().contains("\r\nretry-after: ")
            && answer.contains("store_unavailable");
        assert!(told, "{answer}");
    }
}

/// Loads the service until so many more webhooks have been acknowledged.
async fn load_some(service: &Service, book: &Book, more: usize) {
    let goal = book.acknowledged() + more;
    load(&service.address, book, |book| book.acknowledged() >= goal).await;
    assert!(book.acknowledged() >= goal, "it ended");
}

/// Tries to start on that file; it must end by itself.
fn refused_start(database: &Path) -> Output {
    let mut serve = program(&["serve"]);
    serve.envs(environment(database)).output().unwrap()
}

/// Fails unless it could not be started, and one line said so with these words.
fn says(output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap();
    assert!(
        last.starts_with("kyc-tracker: ") && last.contains(words),
        "{said}"
    );
}

#[actix_web::test]
async fn a_full_disk_refuses_writes_until_there_is_room_again() {
    let Some(disk) = Disk::in_memory("size=3m") else {
        return skip(MOUNTS);
    };
    let database = disk.path("kyc.db");
    populate(&database, USERS);
    let service = Service::start(&database).await;
    let book = Book::default();
    load(&service.address, &book, |book| book.refused() >= 40).await;
    assert!(book.refused() >= 40, "{}", service.process.stderr());
    check_refusals(&book);
    // A readiness check writes less than a webhook, so there may still be room for some.
    let mut checks = 0..100;
    while checks.next().is_some() && service.ready().await.0 == 200 {}
    assert!(!checks.is_empty());
    service.ails("disk_full").await;
    service.answers_reads().await;
    assert!(disk.remount("size=64m"));
    load_some(&service, &book, 100).await;
    assert_eq!(service.ready().await.0, 200);
    check(&database, &book);
}

#[actix_web::test]
async fn a_lock_of_another_process_is_waited_for_and_no_longer_than_five_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("kyc.db");
    populate(&database, USERS);
    let service = Service::start(&database).await;
    let book = Book::default();
    load_some(&service, &book, 20).await;
    let mut other = connect(&database);
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    let writes = load(&service.address, &book, |book| book.refused() >= CLIENTS);
    let reads = async {
        for _ in 0..20 {
            let asked = Instant::now();
            service.answers_reads().await;
            assert!(asked.elapsed() < Duration::from_secs(1));
        }
    };
    join3(writes, service.ails("locked"), reads).await;
    let waited = began.elapsed();
    assert!(waited < Duration::from_millis(6500), "{waited:?}");
    check_refusals(&book);
    other.batch_execute("ROLLBACK").unwrap();
    load_some(&service, &book, 100).await;
    assert_eq!(service.ready().await.0, 200);
    check(&database, &book);
}

#[actix_web::test]
async fn a_file_system_that_turns_read_only_ends_the_service_and_keeps_what_was_acknowledged_before()
 {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    let Some(disk) = format(&image).then(|| Disk::of(&image)).flatten() else {
        return skip(MOUNTS);
    };
    populate(&disk.path("kyc.db"), USERS);
    let mut service = Service::start(&disk.path("kyc.db")).await;
    let (book, address) = (Book::default(), service.address.clone());
    let turn = async {
        book.until_more(100).await;
        let before = book.acknowledged.borrow().clone();
        // As when the system finds a fault in it. What it says it has flushed at that very moment may be missing.
        assert!(disk.remount("abort"));
        assert_eq!(service.process.exit_status().await.code(), Some(1));
        before
    };
    let ((), before) = join(load(&address, &book, |_| false), turn).await;
    book.acknowledged.replace(before);
    let said = service.process.stderr();
    assert!(said.contains("nothing can be written any more"), "{said}");
    says(
        &refused_start(&disk.path("kyc.db")),
        "Read-only file system",
    );
    drop(disk);
    let disk = Disk::of(&image).unwrap();
    let service = Service::start(&disk.path("kyc.db")).await;
    check(&disk.path("kyc.db"), &book);
    drop(service);
}

#[actix_web::test]
async fn a_disk_that_fails_to_flush_ends_the_service_and_keeps_what_was_acknowledged() {
    let null = ["-D", "-f", "-o", "/dev/null", "-e", "trace=none", "true"];
    if !does("strace", &null) {
        return skip("a failing flush needs strace");
    }
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("kyc.db");
    populate(&database, USERS);
    let serve = program(&["serve"]);
    let mut traced = Command::new("strace");
    // The tracer stands aside, so that the process we have is the service. Each thread has a count of its own.
    traced.env_clear().args(["-D", "-f", "-o", "/dev/null"]);
    traced.args(["-e", "trace=fsync,fdatasync"]);
    traced.args(["-e", "inject=fsync,fdatasync:error=EIO:when=40+"]);
    traced.arg(serve.get_program()).args(serve.get_args());
    let mut service = Service::begin(traced, &database).await;
    let (book, address) = (Book::default(), service.address.clone());
    let began = Instant::now();
    let end = service.process.exit_status();
    let ((), status) = join(load(&address, &book, |_| false), end).await;
    assert_eq!(status.code(), Some(1), "{}", service.process.stderr());
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(book.acknowledged() >= 30, "{}", book.acknowledged());
    let service = Service::start(&database).await;
    check(&database, &book);
    drop(service);
}

#[actix_web::test]
async fn a_place_where_nothing_can_be_written_ends_the_start_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    says(&refused_start(&file.join("kyc.db")), "file/kyc.db");
    let Some(disk) = Disk::in_memory("size=2m,ro") else {
        return skip(MOUNTS);
    };
    let output = refused_start(&disk.path("kyc.db"));
    says(&output, "kyc.db");
    says(&output, "Read-only file system");
}

#[actix_web::test]
async fn when_the_writer_has_ended_writes_are_refused_and_reads_go_on() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let kind = DatabaseErrorKind::Unknown;
    let broken = move |_: &mut Conn| -> QueryResult<()> {
        let text = Box::new("disk I/O error".to_owned());
        Err(diesel::result::Error::DatabaseError(kind, text))
    };
    let error = app.db().write(broken).await.unwrap_err();
    assert_eq!(error.trouble(), Trouble::Io);
    app.db().ended().await;
    let ready = app.send(app.request(Method::GET, "/readyz")).await;
    assert_eq!(ready.problem(), (503, "store_unavailable".to_owned()));
    assert_eq!(ready.json()["reason"], "writer_stopped");
    assert_eq!(app.deliver("VERIFIED_USER", "u1").await.status, 503);
    assert_eq!(app.status("u1").await, "pending");
}
