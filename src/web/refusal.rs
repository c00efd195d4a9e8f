//! The answers that the framework gives by itself, to what it cannot read as a request: given our form.
//!
//! No request comes of such bytes, so the framework answers beneath everything that we wrap around it, with a status and
//! no body, and nobody can hand it one. But its answer passes our socket, where this recognizes it. It is always the last
//! on its connection. It knows no path, so that webhooks get the same problem as everybody.

use actix_web::http::StatusCode;
use uuid::Uuid;

use crate::error::{Code, Error, PROBLEM_JSON};

/// Longer than any head that the framework makes by itself.
const LONGEST: usize = 160;

/// Where in these bytes an answer begins that the framework gave by itself. It ends them, and has a length of 0, perhaps
/// the end of the connection, the date, and nothing else; ours have an id at least.
pub fn begins_at(bytes: &[u8]) -> Option<usize> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let from = bytes.len().saturating_sub(LONGEST);
    let tail = bytes.get(from..)?;
    let place = tail.windows(7).rposition(|word| word == b"HTTP/1.")?;
    let lines = Lines::of(tail.get(place..)?)?;
    lines.bare.then_some(from + place)
}

/// The framework's answer in our form, and its code.
pub fn answer(head: &[u8]) -> Option<(Vec<u8>, Code)> {
    let lines = Lines::of(head)?;
    let error = match lines.status {
        StatusCode::BAD_REQUEST => Error::new(Code::BadRequest, "This is no HTTP/1.1 request."),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Error::headers_too_large(),
        StatusCode::REQUEST_TIMEOUT => {
            Error::new(Code::RequestTimeout, "The request took too long to arrive.")
        }
        other => Error::new(
            Code::of_status(other),
            "The request cannot be taken as it is.",
        ),
    };
    let id = Uuid::now_v7().simple().to_string();
    let body = error.problem(&id);
    let code = error.code();
    let status = lines.status.as_u16();
    log::debug!(request_id = id, status, code = code.as_str(); "What came was no request.");
    let (first, date, length) = (lines.first, lines.date, body.len());
    let text = format!(
        "{first}\r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {length}\r\nconnection: close\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\nx-request-id: {id}\r\n{date}\r\n\r\n{body}"
    );
    Some((text.into_bytes(), code))
}

struct Lines<'a> {
    first: &'a str,
    date: &'a str,
    status: StatusCode,
    /// There is nothing but what the framework says by itself.
    bare: bool,
}

impl Lines<'_> {
    fn of(head: &[u8]) -> Option<Lines<'_>> {
        let text = std::str::from_utf8(head).ok()?;
        let mut lines = text.split_terminator("\r\n");
        let first = lines.next()?;
        let status = StatusCode::from_bytes(first.as_bytes().get(9..12)?).ok()?;
        let mut bare = status.is_client_error() || status.is_server_error();
        bare &= lines.next() == Some("content-length: 0");
        let mut date = "";
        for line in lines {
            if line.starts_with("date: ") {
                date = line;
            } else if !line.is_empty() && !line.starts_with("connection: ") {
                bare = false;
            }
        }
        Some(Lines {
            first,
            date,
            status,
            bare: bare && !date.is_empty(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "date: Tue, 24 Nov 2026 19:20:00 GMT\r\n\r\n";

    #[test]
    fn only_a_bare_refusal_at_the_end_is_recognized() {
        let ours = format!("HTTP/1.1 204 No Content\r\nx-request-id: a\r\n{DATE}");
        let bare = format!("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n{DATE}");
        let closing = format!(
            "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n{DATE}"
        );
        for refusal in [&bare, &closing] {
            assert_eq!(begins_at(refusal.as_bytes()), Some(0), "{refusal}");
            let after = format!("{ours}{refusal}");
            assert_eq!(begins_at(after.as_bytes()), Some(ours.len()), "{after}");
        }
        let with_id =
            format!("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nx-request-id: a\r\n{DATE}");
        let fine = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{DATE}");
        let before = format!("{bare}{ours}");
        for other in [&ours, &with_id, &fine, &before, "", "\r\n\r\n", "{\"a\":1}"] {
            assert_eq!(begins_at(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn the_answer_has_the_length_that_it_says() {
        let bare = format!("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n{DATE}");
        let (answer, code) = answer(bare.as_bytes()).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(code, Code::BadRequest);
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())),
            "{head}"
        );
        assert!(
            head.ends_with("date: Tue, 24 Nov 2026 19:20:00 GMT"),
            "{head}"
        );
    }
}
