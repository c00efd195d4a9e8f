//! Rows of a CSV file (RFC 4180) that people open in a spreadsheet.
//!
//! A spreadsheet takes a field that begins with certain signs for a formula and runs it, and the ids in our fields were
//! chosen by others. So such a field gets an apostrophe before it, which spreadsheets show as the text that it is.

/// One row, with its end. Control characters are taken out of the fields, apart from tabs and the ends of lines.
pub fn row<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    let fields: Vec<String> = fields.into_iter().map(field).collect();
    // A row of one empty field would be an empty line, which readers pass over.
    if fields == [""] {
        return "\"\"\r\n".to_owned();
    }
    fields.join(",") + "\r\n"
}

fn field(text: &str) -> String {
    let kept = |c: &char| !c.is_control() || matches!(c, '\t' | '\r' | '\n');
    let text: String = text.chars().filter(kept).collect();
    let text = guarded(&text);
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// An apostrophe before each part that might be taken for a formula. Where people write decimals with a comma, spreadsheets
/// part fields at semicolons, wherever they stand.
fn guarded(text: &str) -> String {
    let mut guarded = String::with_capacity(text.len() + 1);
    for part in text.split_inclusive(';') {
        if is_formula(part) {
            guarded.push('\'');
        }
        guarded.push_str(part);
    }
    guarded
}

/// Whether a spreadsheet might take it for one. Some pass over what stands before a formula and is not seen.
fn is_formula(text: &str) -> bool {
    if text.starts_with(['\t', '\r', '\n']) {
        return true;
    }
    let unseen = |c: char| {
        let format =
            matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}');
        c.is_whitespace() || c == '"' || format
    };
    let begins = text.trim_start_matches(unseen);
    begins.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use csv_core::{ReadFieldResult, Reader};
    use proptest::prelude::*;

    use super::*;

    /// The fields of each row, as a reader understands them.
    fn read(mut csv: &[u8]) -> Vec<Vec<String>> {
        let (mut reader, mut rows, mut fields) = (Reader::new(), Vec::new(), Vec::new());
        let mut field = Vec::new();
        loop {
            let mut some = [0; 7];
            let (result, taken, given) = reader.read_field(csv, &mut some);
            csv = &csv[taken..];
            field.extend_from_slice(&some[..given]);
            if let ReadFieldResult::Field { record_end } = result {
                fields.push(String::from_utf8(std::mem::take(&mut field)).unwrap());
                if record_end {
                    rows.push(std::mem::take(&mut fields));
                }
            }
            if result == ReadFieldResult::End {
                return rows;
            }
        }
    }

    #[test]
    fn a_row_looks_so() {
        assert_eq!(row(["a", "", "b c", "é"]), "a,,b c,é\r\n");
        assert_eq!(
            row(["a,b", "say \"x\"", "1\r\n2"]),
            "\"a,b\",\"say \"\"x\"\"\",\"1\r\n2\"\r\n"
        );
        assert_eq!(row([""]), "\"\"\r\n");
        assert_eq!(row(["", ""]), ",\r\n");
    }

    #[test]
    fn what_a_spreadsheet_might_run_is_marked_as_text() {
        for formula in [
            "=1+1",
            "+52",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\tx",
            "\rx",
            "\nx",
            " =1",
            "\u{a0}@x",
            "\"=1",
            "\" +1",
            "＝1",
            "＋1",
            "－1",
            "＠x",
            "\u{feff}=1",
            "\0=1",
            "\u{200b}-1",
            "=HYPERLINK(\"http://x\",\"y\")",
        ] {
            let fields = read(row([formula]).as_bytes()).remove(0);
            let text: String = formula.chars().filter(|c| *c != '\0').collect();
            assert_eq!(fields, [format!("'{text}")], "{formula:?}");
        }
        let hidden = "x;=cmd|'/C calc'!A0; +1;a";
        assert_eq!(row([hidden]), "x;'=cmd|'/C calc'!A0;' +1;a\r\n");
        for plain in [
            "a=b",
            "a;b=c",
            "1-2",
            "x@y",
            "'=1",
            "\"x\"",
            " x",
            "019ab2f4-7c1e",
            "customer-42",
        ] {
            assert_eq!(read(row([plain]).as_bytes()), [[plain]], "{plain:?}");
        }
    }

    #[test]
    fn control_characters_are_taken_out() {
        assert_eq!(row(["a\0b\u{1b}[31m\u{7f}\u{85}c"]), "ab[31mc\r\n");
        assert_eq!(row(["a\tb"]), "a\tb\r\n");
    }

    fn any_field() -> impl Strategy<Value = String> {
        prop_oneof!["\\PC{0,12}", "[=+@\\-'\", ;\t\r\n\0aé＝]{0,8}"]
    }

    proptest! {
        #[test]
        fn a_reader_gets_back_every_field(
            rows in prop::collection::vec(prop::collection::vec(any_field(), 1..6), 0..6),
        ) {
            let csv: String = rows.iter().map(|fields| row(fields.iter().map(String::as_str))).collect();
            let got = read(csv.as_bytes());
            prop_assert_eq!(got.len(), rows.len());
            for (got, sent) in got.iter().flatten().zip(rows.iter().flatten()) {
                let sent: String = sent.chars().filter(|c| !c.is_control() || "\t\r\n".contains(*c)).collect();
                // But for the marks.
                prop_assert_eq!(got.replace('\'', ""), sent.replace('\'', ""));
            }
        }

        #[test]
        fn no_field_begins_a_formula(field in any_field()) {
            let got = read(row([&*field]).as_bytes()).remove(0).remove(0);
            for part in got.split(';') {
                let begins = part.trim_start().trim_start_matches('"');
                prop_assert!(!begins.starts_with(['=', '+', '-', '@', '＝']), "{got:?}");
            }
        }
    }
}
