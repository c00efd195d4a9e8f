//! The database file is not what it was: damaged while the service stood still, or taken away while it ran. Nothing is
//! acknowledged that nobody will find again.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use futures_util::future::join;
use tempfile::TempDir;

use crate::support::load::{Book, load};
use crate::support::process::program;
use crate::support::service::{Service, environment};
use crate::support::store::{check, connect, populate, stored};

const USERS: u64 = 2000;
const PAGE: u64 = 4096;

fn populated() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("kyc.db");
    populate(&database, USERS);
    (folder, database)
}

/// Tries to start on that file; answers what it said when it could not.
fn refused_start(database: &Path) -> String {
    let mut serve = program(&["serve"]);
    let output = serve.envs(environment(database)).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said.lines().last().unwrap().to_owned()
}

/// Overwrites pages, the first being 0.
fn damage(database: &Path, pages: std::ops::Range<u64>) {
    let file = OpenOptions::new().write(true).open(database).unwrap();
    for page in pages {
        file.write_all_at(&[0xA5; 4096], page * PAGE).unwrap();
    }
}

fn pages(database: &Path) -> u64 {
    database.metadata().unwrap().len() / PAGE
}

#[test]
fn a_file_that_is_no_database_or_is_cut_off_is_not_started_on() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("kyc.db");
    std::fs::write(&database, "no database at all".repeat(1000)).unwrap();
    let said = refused_start(&database);
    assert!(said.contains("file is not a database"), "{said}");
    let (_folder, database) = populated();
    let file = OpenOptions::new().write(true).open(&database).unwrap();
    file.set_len(PAGE * 3).unwrap();
    let said = refused_start(&database);
    assert!(said.contains("malformed"), "{said}");
    let (_folder, database) = populated();
    let all = pages(&database);
    damage(&database, 1..all);
    let said = refused_start(&database);
    assert!(said.contains("malformed"), "{said}");
}

/// Damage far from where the start looks is found by whoever needs what was there.
#[actix_web::test]
async fn what_would_have_to_go_where_the_file_is_damaged_is_refused() {
    let (_folder, database) = populated();
    let all = pages(&database);
    damage(&database, all / 4..all);
    let service = Service::begin(program(&["serve"]), &database).await;
    let book = Book::default();
    let enough = |book: &Book| book.refused() + book.acknowledged() >= 200;
    load(&service.address, &book, enough).await;
    assert!(book.refused() > 0);
    for (_, answer) in book.refused.borrow().iter() {
        assert!(answer.contains("store_unavailable"), "{answer}");
    }
    drop(service);
    let stored = stored(&mut connect(&database));
    assert!(stored.is_superset(&book.acknowledged.borrow()));
}

#[derive(Clone, Copy, Debug)]
enum Taken {
    Deleted,
    Replaced,
    LogDeleted,
}

#[actix_web::test]
async fn once_the_file_is_gone_or_another_stands_in_its_place_nothing_is_acknowledged() {
    for taken in [Taken::Deleted, Taken::Replaced, Taken::LogDeleted] {
        let (folder, database) = populated();
        let service = Service::start(&database).await;
        let book = Book::default();
        load(&service.address, &book, |book| book.acknowledged() >= 50).await;
        service.answers_reads().await;
        let other = folder.path().join("other.db");
        match taken {
            Taken::Deleted => std::fs::remove_file(&database).unwrap(),
            Taken::Replaced => {
                std::fs::copy(&database, &other).unwrap();
                std::fs::rename(&other, &database).unwrap();
            }
            Taken::LogDeleted => std::fs::remove_file(folder.path().join("kyc.db-wal")).unwrap(),
        }
        let before = book.acknowledged();
        // What must not happen ends the load, too.
        let enough = |book: &Book| book.refused() >= 50 || book.acknowledged() > before;
        load(&service.address, &book, enough).await;
        assert_eq!(book.acknowledged(), before, "{taken:?}");
        service.ails("gone").await;
        service.answers_reads().await;
    }
}

#[actix_web::test]
async fn a_file_that_is_moved_under_load_has_all_that_was_acknowledged_and_is_taken_up_when_it_is_back()
 {
    let (folder, database) = populated();
    let service = Service::start(&database).await;
    let book = Book::default();
    let path = |name| folder.path().join(name);
    let away = async {
        book.until_more(100).await;
        std::fs::rename(&database, path("away.db")).unwrap();
    };
    let enough = |book: &Book| book.refused() >= 50 || book.acknowledged() >= 4000;
    join(load(&service.address, &book, enough), away).await;
    service.ails("gone").await;
    std::fs::rename(path("away.db"), &database).unwrap();
    let goal = book.acknowledged() + 50;
    load(&service.address, &book, |book| book.acknowledged() >= goal).await;
    assert_eq!(service.ready().await.0, 200);
    check(&database, &book);
}
