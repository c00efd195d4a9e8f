//! Lays the file over the defaults and the environment over both, as plain TOML tables.
//!
//! Here nothing is known about single settings, but for the names of the lists of texts; what the values must be is for
//! `check.rs`. A text from the environment stays exactly that text, and no error repeats a value.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::path::Path;

use toml::{Table, Value};

use super::{ConfigError, DEFAULTS};

/// What the names of our environment variables begin with.
pub(super) const PREFIX: &str = "KYC__";

/// Keys whose value is a list of texts. They have no default from which the type could be seen.
const LISTS: [&str; 2] = ["webhook_secrets", "api_keys"];

/// The settings in one table, and which keys came from which variable.
pub(super) struct Layered {
    pub table: Table,
    pub variables: HashMap<String, String>,
}

/// One step of a path; numbers sort as numbers, so that element 2 is added before element 10.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Index(usize),
    Key(String),
}

pub(super) fn read(
    file: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Layered, ConfigError> {
    let defaults: Table = DEFAULTS
        .parse()
        .expect("the embedded defaults are valid TOML");
    let mut table = defaults.clone();
    if let Some(path) = file {
        merge(&mut table, read_file(path)?);
    }

    let mut by_path = BTreeMap::new();
    for (name, value) in env {
        let Some(path) = path_of(&name)? else {
            continue;
        };
        if let Some((other, _)) = by_path.insert(path, (name.clone(), value)) {
            let (a, b) = if other < name {
                (other, name)
            } else {
                (name, other)
            };
            return Err(ConfigError::new(a, format!("names the same key as {b}")));
        }
    }
    let mut root = Value::Table(table);
    let mut variables = HashMap::new();
    for (path, (name, text)) in by_path {
        let value =
            typed(&defaults, &path, text).map_err(|reason| ConfigError::new(&name, reason))?;
        set(&mut root, &path, value).map_err(|reason| ConfigError::new(&name, reason))?;
        variables.insert(display(&path), name);
    }
    match root {
        Value::Table(table) => Ok(Layered { table, variables }),
        _ => unreachable!("a variable names at least one key below the root"),
    }
}

fn read_file(path: &Path) -> Result<Table, ConfigError> {
    let error = |reason: String| ConfigError::new(path.display().to_string(), reason);
    let text = std::fs::read_to_string(path)
        .map_err(|source| error(format!("cannot be read: {source}")))?;
    text.parse().map_err(|source: toml::de::Error| {
        // The error's own Display quotes the line, and the line may be a secret.
        let line = source.span().map_or(1, |span| {
            let end = span.start.min(text.len());
            1 + text.as_bytes()[..end]
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count()
        });
        error(format!(
            "line {line} is not valid TOML: {}",
            first_line(source.message())
        ))
    })
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

/// Tables are merged key by key; everything else, lists too, is replaced.
fn merge(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// `KYC__PARTNERS__0__ID` to its path; `None` for variables that are not ours.
fn path_of(name: &str) -> Result<Option<Vec<Step>>, ConfigError> {
    let Some(rest) = name.strip_prefix(PREFIX) else {
        return Ok(None);
    };
    let mut path = Vec::new();
    for part in rest.split("__") {
        if part.is_empty() {
            return Err(ConfigError::new(
                name,
                "is not a key: two underscores stand between levels, as in KYC__SERVER__BIND",
            ));
        }
        path.push(match part.parse() {
            Ok(index) if part.bytes().all(|byte| byte.is_ascii_digit()) => Step::Index(index),
            _ => Step::Key(part.to_lowercase()),
        });
    }
    Ok(Some(path))
}

/// Reads a variable as the type that its default has; a key without a default is a text or a list of texts.
fn typed(defaults: &Table, path: &[Step], text: String) -> Result<Value, String> {
    let default = path.iter().try_fold(None, |value: Option<&Value>, step| {
        let table = value.map_or(Some(defaults), Value::as_table)?;
        match step {
            Step::Key(key) => Some(Some(table.get(key)?)),
            Step::Index(_) => None,
        }
    });
    match default.flatten() {
        Some(Value::Integer(_)) => text
            .trim()
            .parse()
            .map(Value::Integer)
            .map_err(|_| "must be a whole number".to_owned()),
        Some(Value::Boolean(_)) => text
            .trim()
            .parse()
            .map(Value::Boolean)
            .map_err(|_| "must be true or false".to_owned()),
        _ if matches!(path.last(), Some(Step::Key(key)) if LISTS.contains(&key.as_str())) => {
            list(text)
        }
        _ => Ok(Value::String(text)),
    }
}

fn list(text: String) -> Result<Value, String> {
    if !(text.trim_start().starts_with('[') && text.trim_end().ends_with(']')) {
        return Ok(Value::Array(vec![Value::String(text)]));
    }
    // A line break would end the value and could begin another key, so the text must be this one key alone.
    let table: Option<Table> = format!("list = {}", text.trim()).parse().ok();
    match table.map(|mut table| (table.remove("list"), table.is_empty())) {
        Some((Some(list), true)) => Ok(list),
        _ => Err("is not a list such as [\"a\", \"b\"], nor one value".to_owned()),
    }
}

/// Puts `value` at `path`, making the tables and the next list element on the way.
fn set(root: &mut Value, path: &[Step], value: Value) -> Result<(), String> {
    let mut place = root;
    for (depth, step) in path.iter().enumerate() {
        let here = || match display(&path[..depth]) {
            name if name.is_empty() => "the settings".to_owned(),
            name => name,
        };
        let empty = match path.get(depth + 1) {
            Some(Step::Index(_)) => Value::Array(Vec::new()),
            _ => Value::Table(Table::new()),
        };
        place = match (step, place) {
            (Step::Key(key), Value::Table(table)) => table.entry(key.clone()).or_insert(empty),
            (Step::Index(index), Value::Array(list)) => {
                if *index > list.len() {
                    let count = list.len();
                    return Err(format!(
                        "{} has {count} elements, so the next number is {count}",
                        here()
                    ));
                }
                if *index == list.len() {
                    list.push(empty);
                }
                &mut list[*index]
            }
            (Step::Index(_), _) => return Err(format!("{} is not a list", here())),
            (Step::Key(_), Value::Array(_)) => {
                return Err(format!(
                    "{} is a list: a number is needed, as in KYC__PARTNERS__0__ID",
                    here()
                ));
            }
            (Step::Key(_), _) => return Err(format!("{} has no keys below it", here())),
        };
    }
    *place = value;
    Ok(())
}

/// The path as errors name it: `partners[0].id`.
fn display(path: &[Step]) -> String {
    path.iter().fold(String::new(), |mut text, step| {
        let dot = if text.is_empty() { "" } else { "." };
        match step {
            Step::Key(key) => write!(text, "{dot}{key}"),
            Step::Index(index) => write!(text, "[{index}]"),
        }
        .expect("writing to a String cannot fail");
        text
    })
}
