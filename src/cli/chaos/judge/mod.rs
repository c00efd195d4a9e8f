//! The promises, and whether what was seen in a run keeps them. No I/O: what is told to the judge is all it knows.
//!
//! Facts are kept as they were seen, and whether one breaks a promise is decided here alone, so that a test can feed the
//! judge a broken one. A promise is kept only if there was something to judge it by.

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

/// So many breaches of one promise are printed.
const SHOWN: usize = 5;
/// No call is made to wait longer: two calls of the provider's, a second each, and a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(5);
/// The codes with which a failure of the provider is answered.
const FAILURES: [(u16, &str); 4] = [
    (502, "provider_unauthorized"),
    (502, "provider_invalid_response"),
    (503, "provider_unavailable"),
    (503, "provider_rate_limited"),
];

/// All that was seen.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Webhooks that were acknowledged at least once.
    pub webhooks: Vec<Webhook>,
    /// Whether the service was told to believe no `verified` before the provider confirms it.
    pub confirms_first: bool,
    /// The people at the end.
    pub people: Vec<Person>,
    /// How often a status was read.
    pub reads: usize,
    /// Who was read as verified and had never been verified by the provider.
    pub unfounded: Vec<String>,
    /// What reads of a status were answered that brought none.
    pub unanswered: Vec<String>,
    /// Webhooks with a wrong signature.
    pub forgeries: Vec<Forgery>,
    /// Reads of another partner's user.
    pub foreign: Vec<Foreign>,
    /// How many files were searched for personal data.
    pub searched: usize,
    /// What was found in them.
    pub leaks: Vec<String>,
    /// Requests for a link.
    pub calls: Vec<Call>,
    /// Requests that were wrong.
    pub misuses: Vec<Misuse>,
}

/// All webhooks of one partner that are the same byte for byte.
#[derive(Debug)]
pub struct Webhook {
    /// Which, for a reader.
    pub name: String,
    /// How often it was answered with success, counted where it was sent.
    pub acknowledged: u64,
    /// How often it stands in the service's list of deliveries.
    pub stored: u64,
}

/// One person at the end.
#[derive(Debug)]
pub struct Person {
    /// Which, for a reader.
    pub name: String,
    /// The status that the partner is told.
    pub status: String,
    /// The verdict on the latest session, in the provider's word.
    pub truth: String,
    /// The status when everything had just been sent once more, before any look.
    pub during_replays: String,
    /// The status after everything that was ever sent was sent once more.
    pub after_replays: String,
    /// The transitions, oldest first.
    pub history: Vec<Change>,
}

/// One transition.
#[derive(Debug)]
pub struct Change {
    /// Of which attempt.
    pub attempt: i64,
    /// The status before it, if the attempt had one.
    pub from: Option<String>,
    /// The status after it.
    pub to: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.from.as_deref().unwrap_or("nothing");
        write!(f, "{}: {from} to {}", self.attempt, self.to)
    }
}

/// A webhook with a wrong signature.
#[derive(Debug)]
pub struct Forgery {
    /// What was wrong with it.
    pub what: &'static str,
    /// The answer's status.
    pub status: u16,
    /// Whether the user read differently afterwards.
    pub changed: bool,
}

/// A read of another partner's user, and of one that nobody has.
#[derive(Debug)]
pub struct Foreign {
    /// The path, for a reader.
    pub path: String,
    /// The answer about the other's user: its status and its body.
    pub other: (u16, String),
    /// The answer about nobody.
    pub nobody: (u16, String),
}

/// A request for a link, while the provider may fail.
#[derive(Debug)]
pub struct Call {
    /// The answer's status.
    pub status: u16,
    /// Its code, if it is a problem.
    pub code: Option<String>,
    /// Whether it says when to come again.
    pub says_when: bool,
    /// How long it took.
    pub took: Duration,
    /// The status of a read that was made at the same time, and how long that took.
    pub read: (u16, Duration),
}

/// A request that was wrong.
#[derive(Debug)]
pub struct Misuse {
    /// What was wrong with it.
    pub what: &'static str,
    /// The answer's status; 0 if there was none.
    pub status: u16,
    /// Its code, if it has one.
    pub code: Option<String>,
}

/// What the judge says of one promise.
#[derive(Debug)]
pub struct Judgement {
    number: u8,
    promise: &'static str,
    /// What it was judged by.
    grounds: String,
    breaches: Vec<String>,
}

impl Judgement {
    /// Whether the promise was kept.
    pub fn is_kept(&self) -> bool {
        self.breaches.is_empty()
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_kept() { "kept" } else { "broken" };
        let (number, promise) = (self.number, self.promise);
        write!(f, "{number} {word:<6}  {promise}: {}.", self.grounds)?;
        for breach in self.breaches.iter().take(SHOWN) {
            write!(f, "\n            {breach}")?;
        }
        match self.breaches.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n            … and {more} more"),
        }
    }
}

/// Judges the seven promises that a run can judge.
pub fn judge(evidence: &Evidence) -> Vec<Judgement> {
    vec![
        durable(evidence),
        converges(evidence),
        unforgeable(evidence),
        apart(evidence),
        private(evidence),
        clear(evidence),
        patient(evidence),
    ]
}

fn judgement(
    number: u8,
    promise: &'static str,
    judged: usize,
    grounds: String,
    breaches: Vec<Option<String>>,
) -> Judgement {
    let mut breaches: Vec<String> = breaches.into_iter().flatten().collect();
    if judged == 0 {
        breaches.push("nothing happened by which to judge".to_owned());
    }
    Judgement {
        number,
        promise,
        grounds,
        breaches,
    }
}

fn durable(evidence: &Evidence) -> Judgement {
    let webhooks = &evidence.webhooks;
    let sum = |count: fn(&Webhook) -> u64| webhooks.iter().map(count).sum::<u64>();
    let acknowledged = sum(|webhook| webhook.acknowledged);
    let kept = sum(|webhook| webhook.acknowledged.min(webhook.stored));
    let lost = webhooks.iter().map(|webhook| {
        let Webhook {
            name,
            acknowledged,
            stored,
        } = webhook;
        let text =
            format!("{name} was acknowledged {acknowledged} times and is stored {stored} times");
        (stored < acknowledged).then_some(text)
    });
    let doubled = evidence
        .people
        .iter()
        .map(|person| gap(&person.history).map(|gap| format!("{}: {gap}", person.name)));
    let transitions: usize = evidence
        .people
        .iter()
        .map(|person| person.history.len())
        .sum();
    judgement(
        1,
        "Acknowledged means durable",
        webhooks.len(),
        format!(
            "{kept} of {acknowledged} webhooks with a 204 are stored, {transitions} transitions were read"
        ),
        lost.chain(doubled).collect(),
    )
}

/// Where a history is not one step after the other, if it is not.
fn gap(history: &[Change]) -> Option<String> {
    let mut before: Option<&Change> = None;
    for change in history {
        let follows = match (before, &change.from) {
            (None, None) => change.attempt == 1,
            (Some(before), None) => change.attempt == before.attempt + 1,
            (Some(before), Some(from)) => {
                change.attempt == before.attempt && *from == before.to && change.to != *from
            }
            (None, Some(_)) => false,
        };
        if !follows {
            let before = before.map_or_else(|| "nothing".to_owned(), ToString::to_string);
            return Some(format!("{change} does not follow {before}"));
        }
        before = Some(change);
    }
    None
}

fn converges(evidence: &Evidence) -> Judgement {
    let people = &evidence.people;
    let wrong: Vec<_> = people
        .iter()
        .map(|person| {
            let Person {
                name,
                status,
                truth,
                history,
                ..
            } = person;
            let right = match truth.as_str() {
                "VERIFIED" => status == "verified",
                "REJECTED" => status == "rejected",
                "REVIEW_NEEDED" => status == "in_review",
                _ => status != "verified" && !status.is_empty(),
            };
            let steps = history.iter().map(ToString::to_string);
            let steps = steps.collect::<Vec<_>>().join(", ");
            let text = format!("{name} reads {status} and the provider says {truth} ({steps})");
            (!right).then_some(text)
        })
        .collect();
    let right = wrong.iter().filter(|wrong| wrong.is_none()).count();
    judgement(
        2,
        "Converges",
        people.len(),
        format!(
            "{right} of {} users stand where the provider's truth is",
            people.len()
        ),
        wrong,
    )
}

fn unforgeable(evidence: &Evidence) -> Judgement {
    let forged = evidence.forgeries.iter().map(|forgery| {
        let Forgery {
            what,
            status,
            changed,
        } = forgery;
        let taken = *status != 401 || *changed;
        taken.then(|| format!("{what} was answered {status} and changed its user: {changed}"))
    });
    let replayed = evidence.people.iter().map(|person| {
        let Person {
            name,
            status,
            during_replays,
            after_replays,
            ..
        } = person;
        let is_final = matches!(status.as_str(), "verified" | "rejected");
        let undone = is_final && status != after_replays;
        // Without confirmation a webhook may come true for a moment where nothing was decided yet.
        let believed = during_replays == "verified"
            && status != "verified"
            && (status == "rejected" || evidence.confirms_first);
        let text = format!(
            "{name} read {status}, {during_replays} while all was replayed, {after_replays} afterwards"
        );
        (undone || believed).then_some(text)
    });
    let unfounded = evidence.unfounded.iter().map(|name| {
        Some(format!(
            "{name} read verified and was never verified by the provider"
        ))
    });
    judgement(
        3,
        "A forged or replayed webhook changes no final status",
        evidence.forgeries.len(),
        format!(
            "{} forgeries, {} reads of a status, everything replayed at the end",
            evidence.forgeries.len(),
            evidence.reads
        ),
        forged.chain(replayed).chain(unfounded).collect(),
    )
}

fn apart(evidence: &Evidence) -> Judgement {
    let seen = evidence.foreign.iter().map(|foreign| {
        let Foreign {
            path,
            other,
            nobody,
        } = foreign;
        let text =
            format!("{path}: another's user is answered {other:?}, an unknown one {nobody:?}");
        (other != nobody || other.0 != 404).then_some(text)
    });
    judgement(
        4,
        "One partner cannot see another's users",
        evidence.foreign.len(),
        format!(
            "{} reads with the other partner's key, each beside one of nobody",
            evidence.foreign.len()
        ),
        seen.collect(),
    )
}

fn private(evidence: &Evidence) -> Judgement {
    judgement(
        5,
        "Personal data in passing leaves no trace",
        evidence.searched,
        format!(
            "{} files of the database were searched, over all restarts",
            evidence.searched
        ),
        evidence.leaks.iter().cloned().map(Some).collect(),
    )
}

fn clear(evidence: &Evidence) -> Judgement {
    let failed = |call: &&Call| call.status >= 500;
    let unclear = evidence.calls.iter().map(|call| {
        let code = call.code.as_deref().unwrap_or_default();
        let known = match (call.status, code) {
            (200 | 201, _) | (409, "already_verified") => true,
            failure => FAILURES.contains(&failure) && (call.status != 503 || call.says_when),
        };
        let in_time = call.took <= PATIENCE && call.read.1 <= PATIENCE;
        (!known || !in_time || call.read.0 != 200).then(|| format!("{call:?}"))
    });
    let unanswered = evidence.unanswered.iter();
    let unanswered = unanswered.map(|answer| Some(format!("a read was answered {answer}")));
    judgement(
        6,
        "A provider that fails is answered clearly",
        evidence.calls.len(),
        format!(
            "{} of {} requests for a link met a failure; statuses were read meanwhile",
            evidence.calls.iter().filter(failed).count(),
            evidence.calls.len()
        ),
        unclear.chain(unanswered).collect(),
    )
}

fn patient(evidence: &Evidence) -> Judgement {
    let mistaken = evidence.misuses.iter().map(|misuse| {
        let Misuse { what, status, code } = misuse;
        let right = (400..500).contains(status) && code.is_some();
        (!right).then(|| format!("{what} was answered {status} with the code {code:?}"))
    });
    judgement(
        7,
        "Every wrong input gets a 4xx with a code",
        evidence.misuses.len(),
        format!("{} requests were wrong", evidence.misuses.len()),
        mistaken.collect(),
    )
}
