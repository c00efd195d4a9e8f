//! What narrows a list on the page, as it stands in the address. A form sends all of its fields, so that an empty one is as
//! good as none.

use std::time::Duration;

use url::form_urlencoded;

use super::words;
use crate::app::App;
use crate::clock::Timestamp;
use crate::config::Partner;
use crate::kyc::status::Status;
use crate::web::page::Language;

/// What a field says, if it says something.
pub fn said(field: Option<String>) -> Option<String> {
    field
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

/// How long ago something was.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// Within the last hour.
    Hour,
    /// Within the last 24 hours.
    Day,
    /// Within the last 7 days.
    Week,
    /// Within the last 30 days.
    Month,
    /// Longer ago than that.
    Older,
}

const HOUR: Duration = Duration::from_secs(3600);

impl Age {
    /// Every age, the shortest first.
    pub const ALL: [Age; 5] = [Age::Hour, Age::Day, Age::Week, Age::Month, Age::Older];

    /// The word in the address.
    pub const fn as_str(self) -> &'static str {
        match self {
            Age::Hour => "1h",
            Age::Day => "24h",
            Age::Week => "7d",
            Age::Month => "30d",
            Age::Older => "older",
        }
    }

    /// The age of that word, if there is one.
    pub fn from_word(word: &str) -> Option<Age> {
        Age::ALL.into_iter().find(|age| age.as_str() == word)
    }

    /// In words.
    pub fn label(self, language: Language) -> &'static str {
        match self {
            Age::Hour => language.choose("Last hour", "Última hora"),
            Age::Day => language.choose("Last 24 hours", "Últimas 24 horas"),
            Age::Week => language.choose("Last 7 days", "Últimos 7 días"),
            Age::Month => language.choose("Last 30 days", "Últimos 30 días"),
            Age::Older => language.choose("Older", "Más antiguos"),
        }
    }

    /// From when on, and before when.
    pub fn bounds(self, now: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
        let ago = |hours| Some(now.minus(HOUR * hours));
        match self {
            Age::Hour => (ago(1), None),
            Age::Day => (ago(24), None),
            Age::Week => (ago(7 * 24), None),
            Age::Month => (ago(30 * 24), None),
            Age::Older => (None, ago(30 * 24)),
        }
    }
}

/// The address of a list with these fields; those that say nothing are left out.
pub fn address(path: &str, fields: &[(&str, Option<&str>)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    match query.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{query}"),
    }
}

/// What can be chosen in a field, and what is.
pub struct Choice {
    /// The word in the address.
    pub value: String,
    /// In words.
    pub label: String,
    /// Whether it is the one that is chosen.
    pub chosen: bool,
}

/// The choices of a field, of which an empty one says that it does not narrow.
pub fn choices<T>(
    all: impl IntoIterator<Item = T>,
    word: impl Fn(&T) -> String,
    label: impl Fn(&T) -> String,
    chosen: Option<&str>,
) -> Vec<Choice> {
    let choice = |one: T| {
        let value = word(&one);
        Choice {
            chosen: chosen == Some(value.as_str()),
            label: label(&one),
            value,
        }
    };
    all.into_iter().map(choice).collect()
}

/// The choices of a status.
pub fn statuses(language: Language, chosen: Option<&str>) -> Vec<Choice> {
    choices(
        Status::ALL,
        |status| status.as_str().to_owned(),
        |status| words::status(language, *status).to_owned(),
        chosen,
    )
}

/// The choices of an age.
pub fn ages(language: Language, chosen: Option<&str>) -> Vec<Choice> {
    choices(
        Age::ALL,
        |age| age.as_str().to_owned(),
        |age| age.label(language).to_owned(),
        chosen,
    )
}

/// The choices of a partner: those of the configuration.
pub fn partners(app: &App, chosen: Option<&str>) -> Vec<Choice> {
    let id = |partner: &&Partner| partner.id.clone();
    choices(&app.config.partners, id, id, chosen)
}
