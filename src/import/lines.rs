//! The lines of a file of users: CSV under a header, or JSON lines, which the first byte that is not blank tells apart.
//!
//! A line that is not right is told with its number and never with what stands in it, because reports end up in logs. A
//! number is that of the line in the file on which the user begins: blank lines count, and so do breaks within quotes.
//! What is kept of a line is bounded, whatever the file is.

use std::io::{self, BufRead, Read};

use csv_core::ReadRecordResult;
use serde::Deserialize;
use serde_json::Value;

use super::Entry;
use crate::kyc::link_request::{Refusal, check_country, check_external_user_id, check_user_id};
use crate::kyc::status::Status;

/// How many bytes a line may have, which is many times what the longest ids take.
const LONGEST: usize = 16 * 1024;
/// How many columns of a line are looked at; there are four.
const WIDEST: usize = 16;
const MARK: &[u8] = b"\xef\xbb\xbf";
const BREAK: &[u8] = b"\r\n";
const SPACE: &[u8] = b"\r\n\t ";

/// The names of the columns; all but `externalUserId` are needed.
const COLUMNS: [&str; 4] = ["userId", "externalUserId", "country", "status"];
const EXTERNAL_USER_ID: usize = 1;

/// One user of the file.
pub struct Line {
    /// The line it begins on, from 1.
    pub number: u64,
    /// The user, or what is wrong with it.
    pub entry: Result<Entry, String>,
}

/// Reads users one by one.
pub struct Lines<R> {
    input: Input<R>,
    format: Format,
}

enum Format {
    Csv(Columns),
    Json,
}

/// Why nothing of a file can be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Nothing stands in it.
    #[error("it is empty")]
    Empty,
    /// The columns are not the ones that are needed.
    #[error("{0}; the columns are userId, externalUserId (may be left out), country and status")]
    Header(String),
}

impl<R: BufRead> Lines<R> {
    /// Tells the format, and reads the header if there is one.
    ///
    /// # Errors
    /// When the file is empty or cannot be read, and when a column is unknown, doubled or missing.
    pub fn open(input: R) -> Result<Lines<R>, Unusable> {
        let mut input = Input::new(input);
        input.skip_mark()?;
        let format = match input.peek(SPACE)? {
            None => return Err(Unusable::Empty),
            Some(b'{') => Format::Json,
            Some(_) => {
                input.record()?;
                Format::Csv(Columns::of(&input.record)?)
            }
        };
        Ok(Lines { input, format })
    }

    /// The next user; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read any further.
    pub fn next_line(&mut self) -> io::Result<Option<Line>> {
        let blank = match self.format {
            // A space belongs to the value that it stands before.
            Format::Csv(_) => BREAK,
            Format::Json => SPACE,
        };
        if self.input.peek(blank)?.is_none() {
            return Ok(None);
        }
        let number = self.input.line;
        let entry = match &self.format {
            Format::Csv(columns) => {
                self.input.record()?;
                columns.entry(&self.input.record)
            }
            Format::Json => json(self.input.rest_of_line()?),
        };
        Ok(Some(Line { number, entry }))
    }
}

/// The file, as far as it was read.
struct Input<R> {
    bytes: R,
    /// The line that the next byte stands on.
    line: u64,
    csv: csv_core::Reader,
    record: Record,
    text: Vec<u8>,
}

impl<R: BufRead> Input<R> {
    fn new(bytes: R) -> Input<R> {
        Input {
            bytes,
            line: 1,
            csv: csv_core::Reader::new(),
            record: Record::new(),
            text: Vec::new(),
        }
    }

    /// Some programs begin a file with a mark that says that it is UTF-8.
    fn skip_mark(&mut self) -> io::Result<()> {
        if self.bytes.fill_buf()?.starts_with(MARK) {
            self.bytes.consume(MARK.len());
        }
        Ok(())
    }

    /// The next byte that is not blank; `None` at the end.
    fn peek(&mut self, blank: &[u8]) -> io::Result<Option<u8>> {
        loop {
            let bytes = self.bytes.fill_buf()?;
            let Some(first) = bytes.first().copied() else {
                return Ok(None);
            };
            if !blank.contains(&first) {
                return Ok(Some(first));
            }
            self.line += u64::from(first == b'\n');
            self.bytes.consume(1);
        }
    }

    /// Reads a record of CSV.
    fn record(&mut self) -> io::Result<()> {
        let record = &mut self.record;
        record.clear();
        loop {
            let bytes = self.bytes.fill_buf()?;
            let (result, read, wrote, ended) = self.csv.read_record(
                bytes,
                &mut record.text[record.length..],
                &mut record.ends[record.columns..],
            );
            self.line += breaks(&bytes[..read]);
            self.bytes.consume(read);
            record.length += wrote;
            record.columns += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => {
                    record.too_long = true;
                    record.length = 0;
                }
                ReadRecordResult::OutputEndsFull => {
                    record.too_wide = true;
                    record.columns = 0;
                }
                ReadRecordResult::Record | ReadRecordResult::End => return Ok(()),
            }
        }
    }

    /// Reads to the end of the line; `None` if that is too far.
    fn rest_of_line(&mut self) -> io::Result<Option<&[u8]>> {
        self.text.clear();
        let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        let mut limited = (&mut self.bytes).take(limit);
        limited.read_until(b'\n', &mut self.text)?;
        self.line += breaks(&self.text);
        let too_long = self.text.len() == LONGEST && !self.text.ends_with(b"\n");
        if too_long {
            self.skip_line()?;
            return Ok(None);
        }
        Ok(Some(&self.text))
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let bytes = self.bytes.fill_buf()?;
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let skipped = end.map_or(bytes.len(), |end| end + 1);
            let at_end = end.is_some() || bytes.is_empty();
            self.line += u64::from(end.is_some());
            self.bytes.consume(skipped);
            if at_end {
                return Ok(());
            }
        }
    }
}

fn breaks(bytes: &[u8]) -> u64 {
    let breaks = bytes.iter().filter(|byte| **byte == b'\n').count();
    u64::try_from(breaks).unwrap_or(u64::MAX)
}

/// One record of CSV.
struct Record {
    text: Vec<u8>,
    length: usize,
    /// Where each column ends in the text.
    ends: [usize; WIDEST],
    columns: usize,
    too_long: bool,
    too_wide: bool,
}

impl Record {
    fn new() -> Record {
        Record {
            text: vec![0; LONGEST],
            length: 0,
            ends: [0; WIDEST],
            columns: 0,
            too_long: false,
            too_wide: false,
        }
    }

    fn clear(&mut self) {
        self.length = 0;
        self.columns = 0;
        self.too_long = false;
        self.too_wide = false;
    }

    /// The texts of its columns.
    fn texts(&self) -> Result<Vec<&str>, String> {
        if self.too_long {
            return Err(format!("has more than {LONGEST} bytes, or an open quote"));
        }
        if self.too_wide {
            return Err(format!("has more than {WIDEST} columns"));
        }
        let Ok(text) = str::from_utf8(&self.text[..self.length]) else {
            return Err(NOT_UTF8.to_owned());
        };
        let mut start = 0;
        let mut texts = Vec::with_capacity(self.columns);
        for end in &self.ends[..self.columns] {
            texts.push(text.get(start..*end).ok_or(NOT_UTF8)?);
            start = *end;
        }
        Ok(texts)
    }
}

const NOT_UTF8: &str = "is not UTF-8";

/// Where the columns of [`COLUMNS`] stand.
struct Columns {
    places: [Option<usize>; 4],
    count: usize,
}

impl Columns {
    fn of(header: &Record) -> Result<Columns, Unusable> {
        let bad = |what: String| Unusable::Header(format!("the header {what}"));
        let names = header.texts().map_err(bad)?;
        let mut places = [None; 4];
        for (place, name) in names.iter().enumerate() {
            // It is not repeated: where the header was left out, it is a person's.
            let Some(known) = COLUMNS.iter().position(|known| known == name) else {
                return Err(bad(format!("has another name in column {}", place + 1)));
            };
            if places[known].replace(place).is_some() {
                return Err(bad(format!("has {name} twice")));
            }
        }
        for (name, place) in COLUMNS.iter().zip(places) {
            if place.is_none() && *name != COLUMNS[EXTERNAL_USER_ID] {
                return Err(bad(format!("lacks {name}")));
            }
        }
        let count = names.len();
        Ok(Columns { places, count })
    }

    fn entry(&self, record: &Record) -> Result<Entry, String> {
        let texts = record.texts()?;
        if texts.len() != self.count {
            let (has, wanted) = (texts.len(), self.count);
            return Err(format!("has {has} columns and not {wanted}"));
        }
        check(self.places.map(|place| Ok(place.map(|place| texts[place]))))
    }
}

/// One line of JSON. The values are taken as they come, so that the fault is told in our words and without them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Fields {
    user_id: Option<Value>,
    external_user_id: Option<Value>,
    country: Option<Value>,
    status: Option<Value>,
}

fn json(line: Option<&[u8]>) -> Result<Entry, String> {
    let line = line.ok_or_else(|| format!("has more than {LONGEST} bytes"))?;
    let fields: Fields = serde_json::from_slice(line).map_err(|error| {
        let text = if error.is_data() {
            "is not an object with each of userId, externalUserId, country and status once and nothing else"
        } else {
            "is not JSON"
        };
        text.to_owned()
    })?;
    let values = [
        &fields.user_id,
        &fields.external_user_id,
        &fields.country,
        &fields.status,
    ];
    check(values.map(|value| match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err("is not a string"),
    }))
}

/// A value of a column, or what kind of thing stands there instead.
type Given<'a> = Result<Option<&'a str>, &'static str>;

/// Checks the values of [`COLUMNS`] as those of a request for a link are checked, and tells all that is wrong with them.
fn check([user_id, external_user_id, country, status]: [Given<'_>; 4]) -> Result<Entry, String> {
    let mut faults = Vec::new();
    let user_id = needed("userId", user_id, check_user_id, &mut faults);
    let external_user_id = checked(
        "externalUserId",
        external_user_id,
        check_external_user_id,
        &mut faults,
    );
    let country = needed("country", country, check_country, &mut faults);
    let status = needed("status", status, check_status, &mut faults);
    match (user_id, country, status) {
        (Some(user_id), Some(country), Some(status)) if faults.is_empty() => Ok(Entry {
            external_user_id: external_user_id.unwrap_or_else(|| user_id.clone()),
            user_id,
            country,
            status,
        }),
        _ => Err(faults.join(" ")),
    }
}

/// The checked value of a column that must not be empty.
fn needed<T>(
    name: &str,
    given: Given<'_>,
    check: fn(&str) -> Result<T, Refusal>,
    faults: &mut Vec<String>,
) -> Option<T> {
    if matches!(given, Ok(None | Some(""))) {
        faults.push(format!("{name} is missing."));
    }
    checked(name, given, check, faults)
}

/// The checked value of a column, if it has one; an empty one counts as absent.
fn checked<T>(
    name: &str,
    given: Given<'_>,
    check: fn(&str) -> Result<T, Refusal>,
    faults: &mut Vec<String>,
) -> Option<T> {
    let fault = match given {
        Ok(None | Some("")) => return None,
        Ok(Some(text)) => match check(text) {
            Ok(value) => return Some(value),
            Err(refusal) => format!("{name}: {}", refusal.message),
        },
        Err(fault) => format!("{name} {fault}."),
    };
    faults.push(fault);
    None
}

fn check_status(text: &str) -> Result<Status, Refusal> {
    let words = Status::ALL.map(Status::as_str).join(", ");
    Status::from_word(text).ok_or_else(|| Refusal {
        code: "status_unknown",
        message: format!("Use one of these words: {words}."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of each user of the file, with its id or what is wrong.
    fn read(text: &[u8]) -> Vec<(u64, String)> {
        // A small buffer, so that records cross its ends.
        let mut lines = Lines::open(io::BufReader::with_capacity(7, text)).unwrap();
        let mut read = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            let told = line.entry.map_or_else(|fault| fault, |entry| entry.user_id);
            read.push((line.number, told));
        }
        read
    }

    fn found(number: u64, user_id: &str) -> (u64, String) {
        (number, user_id.to_owned())
    }

    #[test]
    fn numbers_are_those_of_the_file_whatever_its_breaks_and_blank_lines_are() {
        let users = [found(2, "u1"), found(5, "u2"), found(7, "u3")];
        let unix = "userId,status,country\nu1,pending,DO\n\n\nu2,\"pen\nding\",DO\nu3,pending,DO";
        for text in [unix.to_owned(), unix.replace('\n', "\r\n")] {
            let read = read(text.as_bytes());
            let numbers: Vec<u64> = read.iter().map(|(number, _)| *number).collect();
            assert_eq!(
                numbers,
                users.iter().map(|(number, _)| *number).collect::<Vec<_>>()
            );
            assert!(read[1].1.starts_with("status: Use one of"), "{read:?}");
        }
    }

    #[test]
    fn a_line_without_end_is_bad_and_what_follows_is_read() {
        let long = "x".repeat(3 * LONGEST);
        let wide = ",".repeat(3 * WIDEST);
        let text = format!("userId,status,country\n{long},,\n{wide}\nu1,pending,DO\n");
        let csv = read(text.as_bytes());
        assert!(csv[0].1.starts_with("has more than 16384 bytes"), "{csv:?}");
        assert!(csv[1].1.starts_with("has more than 16 columns"), "{csv:?}");
        assert_eq!(csv[2], found(4, "u1"));
        let user = r#"{"userId":"u1","status":"pending","country":"DO"}"#;
        let json = read(format!("{{\"{long}\n{user}\n").as_bytes());
        assert!(
            json[0].1.starts_with("has more than 16384 bytes"),
            "{json:?}"
        );
        assert_eq!(json[1], found(2, "u1"));
    }

    #[test]
    fn bytes_that_are_no_text_are_bad_in_either_format() {
        let csv = b"userId,status,country\nu\xff,pending,DO\nu\xc3,\xa4pending,DO\n";
        assert_eq!(read(csv), [found(2, NOT_UTF8), found(3, NOT_UTF8)]);
        let json = read(b"{\"userId\":\"\xff\"}\n");
        assert_eq!(json, [found(1, "is not JSON")]);
    }

    #[test]
    fn a_mark_before_the_header_is_passed_over() {
        let text = b"\xef\xbb\xbfuserId,status,country\nu1,pending,DO\n";
        assert_eq!(read(text), [found(2, "u1")]);
    }

    #[test]
    fn a_doubled_field_of_json_is_bad() {
        let line = br#"{"userId":"u1","userId":"u2","status":"pending","country":"DO"}"#;
        assert!(read(line)[0].1.starts_with("is not an object with each"));
    }
}
