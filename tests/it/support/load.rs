//! Clients that post webhooks, each a different one, as fast as they are answered, and the book of what they were told.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use kyc_tracker::capa::signature::{HEADER, sign};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ACME;
use super::wire::STUCK;

/// How many clients there are.
pub const CLIENTS: usize = 8;
/// What comes for each user; the clients race, so it comes in any order.
const EVENTS: [&str; 4] = [
    "CREATED_KYC",
    "REVIEW_NEEDED_KYC",
    "VERIFIED_USER",
    "REJECTED_KYC",
];
/// For how long a client that was refused leaves the service alone.
const PAUSE: Duration = Duration::from_millis(5);

/// The webhook of that number.
pub fn webhook(number: u64) -> String {
    let (user, event) = (number / 4, EVENTS[(number % 4) as usize]);
    format!(r#"{{"type":"KYC","event":"{event}","externalUserId":"u{user}","number":{number}}}"#)
}

/// The number of a webhook.
pub fn number(webhook: &[u8]) -> u64 {
    let text = std::str::from_utf8(webhook).unwrap();
    let number = text.rsplit(':').next().unwrap();
    number.trim_end_matches('}').parse().unwrap()
}

/// What became of the webhooks, by number.
#[derive(Default)]
pub struct Book {
    next: Cell<u64>,
    /// Answered with 204.
    pub acknowledged: RefCell<BTreeSet<u64>>,
    /// Answered with anything else, and that.
    pub refused: RefCell<Vec<(u64, String)>>,
    /// Sent whole, and the connection ended before the first byte of an answer.
    pub unanswered: RefCell<BTreeSet<u64>>,
    /// The connection ended in the middle of an answer.
    pub broken_off: RefCell<BTreeSet<u64>>,
}

impl Book {
    /// How many were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.borrow().len()
    }

    /// How many were refused.
    pub fn refused(&self) -> usize {
        self.refused.borrow().len()
    }

    fn take(&self) -> u64 {
        self.next.replace(self.next.get() + 1)
    }

    /// Returns when so many more have been acknowledged.
    pub async fn until_more(&self, more: usize) {
        let goal = self.acknowledged() + more;
        let reached = async {
            while self.acknowledged() < goal {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(STUCK, reached).await.expect("nothing goes on");
    }
}

/// What the client was told.
enum Told {
    Answer(String),
    Nothing,
    Part,
}

/// Posts webhooks by all clients until it is enough, or until the service does not answer any more.
pub async fn load(address: &str, book: &Book, enough: impl Fn(&Book) -> bool) {
    let enough = &enough;
    let client = |_| async move {
        while let Ok(mut connection) = TcpStream::connect(address).await {
            // Until the connection ends.
            loop {
                if enough(book) {
                    return;
                }
                let number = book.take();
                match post(&mut connection, number).await {
                    Told::Answer(answer) if answer.starts_with("HTTP/1.1 204 ") => {
                        book.acknowledged.borrow_mut().insert(number);
                        if ends(&answer) {
                            break;
                        }
                    }
                    Told::Answer(answer) => {
                        let ends = ends(&answer);
                        book.refused.borrow_mut().push((number, answer));
                        tokio::time::sleep(PAUSE).await;
                        if ends {
                            break;
                        }
                    }
                    Told::Nothing => {
                        book.unanswered.borrow_mut().insert(number);
                        break;
                    }
                    Told::Part => {
                        book.broken_off.borrow_mut().insert(number);
                        break;
                    }
                }
            }
        }
    };
    join_all((0..CLIENTS).map(client)).await;
}

fn ends(answer: &str) -> bool {
    answer.to_lowercase().contains("connection: close")
}

/// Posts one webhook and reads the answer to its end.
async fn post(connection: &mut TcpStream, number: u64) -> Told {
    let body = webhook(number);
    let (signature, length) = (sign(ACME.secret, body.as_bytes()), body.len());
    let request = format!(
        "POST /webhooks/{} HTTP/1.1\r\nhost: kyc\r\n{HEADER}: {signature}\r\ncontent-length: {length}\r\n\r\n{body}",
        ACME.id
    );
    if connection.write_all(request.as_bytes()).await.is_err() {
        return Told::Nothing;
    }
    let mut heard = Vec::new();
    loop {
        let read = timeout(STUCK, connection.read_buf(&mut heard)).await;
        let read = read.expect("no answer");
        match (read, heard.is_empty()) {
            (Ok(0) | Err(_), true) => return Told::Nothing,
            (Ok(0) | Err(_), false) => return Told::Part,
            (Ok(_), _) => {}
        }
        let text = String::from_utf8_lossy(&heard);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.split("content-length: ").nth(1);
            let length = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
            if body.len() >= length {
                return Told::Answer(text.into_owned());
            }
        }
    }
}
