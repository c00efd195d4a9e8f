//! The process is killed, told to stop, or loses its power while webhooks pour in. What was acknowledged is there
//! afterwards, and all that is there agrees.
//!
//! Few times in the ordinary tests, and many with `KYC_TORTURE=1`.

use std::time::{Duration, Instant};

use futures_util::future::join;

use crate::support::disk::{Disk, format};
use crate::support::load::{Book, load};
use crate::support::process::Process;
use crate::support::service::{Service, environment};
use crate::support::store::{check, connect, populate, stored};
use crate::support::torture::{Dice, skip, tell, times};

/// As many users as these many rounds need for webhooks that move them.
fn users(rounds: u64) -> u64 {
    rounds * 60
}

#[actix_web::test]
async fn what_was_acknowledged_outlives_kill_9_at_any_moment() {
    let (mut dice, kills) = (Dice::new(), times(20, 200));
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("kyc.db");
    populate(&database, users(kills));
    let (book, mut longest) = (Book::default(), Duration::ZERO);
    for _ in 0..kills {
        let began = Instant::now();
        let mut service = Service::start(&database).await;
        longest = longest.max(began.elapsed());
        let address = service.address.clone();
        let kill = async {
            let more = dice.below(150);
            book.until_more(usize::try_from(more).unwrap()).await;
            dice.pause(Duration::from_millis(20)).await;
            service.process.kill();
        };
        join(load(&address, &book, |_| false), kill).await;
    }
    Service::start(&database).await;
    check(&database, &book);
    let (acknowledged, unanswered) = (book.acknowledged(), book.unanswered.borrow().len());
    tell(&format!(
        "{kills} kills: {acknowledged} webhooks acknowledged, none lost; {unanswered} unanswered; ready again within {longest:?}"
    ));
    assert!(longest < Duration::from_secs(5));
}

/// Loads a service on a disk, takes a copy of the disk without what only the system's memory holds, and looks through it.
async fn cut_the_power(dice: &mut Dice) -> Option<usize> {
    let folder = tempfile::tempdir().unwrap();
    let (image, copy) = (folder.path().join("image"), folder.path().join("copy"));
    let disk = format(&image).then(|| Disk::of(&image)).flatten()?;
    populate(&disk.path("kyc.db"), users(2));
    let mut service = Service::start(&disk.path("kyc.db")).await;
    let (book, address) = (Book::default(), service.address.clone());
    let cut = async {
        let more = dice.below(300) + 10;
        book.until_more(usize::try_from(more).unwrap()).await;
        dice.pause(Duration::from_millis(20)).await;
        service.process.freeze().await;
        std::fs::copy(&image, &copy).unwrap();
        service.process.kill();
    };
    join(load(&address, &book, |_| false), cut).await;
    drop(disk);
    let disk = Disk::of(&copy).expect("the disk cannot be used any more");
    let service = Service::start(&disk.path("kyc.db")).await;
    check(&disk.path("kyc.db"), &book);
    drop(service);
    Some(book.acknowledged())
}

#[actix_web::test]
async fn what_was_acknowledged_outlives_a_power_cut() {
    let (mut dice, cuts, mut acknowledged) = (Dice::new(), times(5, 60), 0);
    for _ in 0..cuts {
        match cut_the_power(&mut dice).await {
            Some(more) => acknowledged += more,
            None => return skip("power cuts need mkfs.ext4 and the right to mount"),
        }
    }
    tell(&format!(
        "{cuts} power cuts: {acknowledged} webhooks acknowledged, none lost"
    ));
}

/// A request may come too late and see the connection closed. One that was taken is answered, so what is not answered is
/// not stored.
#[actix_web::test]
async fn told_to_stop_under_load_it_answers_all_that_it_has_taken() {
    let (mut dice, stops, mut unanswered) = (Dice::new(), times(5, 20), 0);
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("kyc.db");
    populate(&database, users(stops));
    let (book, mut longest) = (Book::default(), Duration::ZERO);
    for _ in 0..stops {
        let mut service = Service::start(&database).await;
        let address = service.address.clone();
        let stop = async {
            let more = dice.below(150) + 1;
            book.until_more(usize::try_from(more).unwrap()).await;
            dice.pause(Duration::from_millis(20)).await;
            service.process.terminate();
            let told = Instant::now();
            assert_eq!(service.process.exit_status().await.code(), Some(0));
            longest = longest.max(told.elapsed());
        };
        join(load(&address, &book, |_| false), stop).await;
        let late = book.unanswered.take();
        unanswered += late.len();
        let stored = stored(&mut connect(&database));
        let taken: Vec<_> = late.intersection(&stored).collect();
        assert!(taken.is_empty(), "taken and not answered: {taken:?}");
        assert!(book.broken_off.borrow().is_empty(), "broken off");
        assert_eq!(*book.refused.borrow(), [], "refused");
    }
    check(&database, &book);
    let acknowledged = book.acknowledged();
    tell(&format!(
        "{stops} stops: {acknowledged} webhooks acknowledged, none lost; {unanswered} came too late; stopped within {longest:?}"
    ));
    assert!(longest < Duration::from_secs(10));
}

#[actix_web::test]
async fn a_file_is_served_by_one_process_and_by_the_next_once_that_is_dead() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("kyc.db");
    let mut first = Service::start(&database).await;
    let mut second = Process::start(&["serve"], &environment(&database));
    assert_eq!(second.exit_status().await.code(), Some(1));
    let said = second.stderr();
    assert!(
        said.contains("another service is running on this database"),
        "{said}"
    );
    first.process.kill();
    Service::start(&database).await;
}
