//! More is asked at once than can be done. What is taken on is done well, and the rest is told to come again.

use crate::support::process;

#[actix_web::test]
async fn few_open_files_are_raised_to_what_is_allowed_and_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let mut environment = crate::support::settings(&folder, "http://127.0.0.1:9");
    environment.push(("KYC__SERVER__BIND".to_owned(), process::free_address()));
    let mut process = process::Process::start_with_files(256, 1024, &["serve"], &environment);
    let said = process
        .until(async |process| Some(process.stderr()).filter(|said| said.contains("Listening.")))
        .await;
    assert!(said.contains("few open files"), "{said}");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let numbers: Vec<&str> = files.unwrap().split_whitespace().collect();
    assert_eq!(numbers[3..5], ["1024", "1024"]);
}
