//! Our words for where a user stands, and how the provider's words become ours.
//!
//! The words are the ones of the public interface and of the database; a new one changes both.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a user's current attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A link was asked for; the provider has said nothing yet.
    Pending,
    /// The user has handed in everything.
    Submitted,
    /// The provider has not decided and a person may look.
    InReview,
    /// Passed.
    Verified,
    /// Failed; a new link opens the next attempt.
    Rejected,
}

impl Status {
    /// Every status, in the order of the public interface.
    pub const ALL: [Status; 5] = [
        Status::Pending,
        Status::Submitted,
        Status::InReview,
        Status::Verified,
        Status::Rejected,
    ];

    /// The word used in answers, logs and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Submitted => "submitted",
            Status::InReview => "in_review",
            Status::Verified => "verified",
            Status::Rejected => "rejected",
        }
    }

    /// The status of that word, if there is one.
    pub fn from_word(word: &str) -> Option<Status> {
        Status::ALL
            .into_iter()
            .find(|status| status.as_str() == word)
    }

    /// Whether this is a verdict.
    pub const fn is_final(self) -> bool {
        matches!(self, Status::Verified | Status::Rejected)
    }

    /// How far along: news of a lower rank is old news while nothing is decided.
    pub const fn rank(self) -> u8 {
        match self {
            Status::Pending => 0,
            Status::Submitted => 1,
            Status::InReview => 2,
            Status::Verified | Status::Rejected => 3,
        }
    }

    /// What the provider's `verificationResult` says the status is; `Ok(None)` while there is no verdict.
    ///
    /// The field is documented nowhere. It mirrors its vendor's words, and one old sample shows another vocabulary, so
    /// both are taken (`aiprise: docs/verification-result-1`), without regard to case and surrounding space.
    ///
    /// # Errors
    /// [`UnknownWord`]: it says something that we do not know and must not guess, or holds a control character.
    pub fn from_result(word: &str) -> Result<Option<Status>, UnknownWord> {
        if word.contains(char::is_control) {
            return Err(UnknownWord);
        }
        match word.trim().to_ascii_uppercase().as_str() {
            "APPROVED" | "VERIFIED" => Ok(Some(Status::Verified)),
            "DECLINED" | "REJECTED" => Ok(Some(Status::Rejected)),
            "REVIEW" | "REVIEW_NEEDED" => Ok(Some(Status::InReview)),
            "UNKNOWN" | "" => Ok(None),
            _ => Err(UnknownWord),
        }
    }

    /// What a KYC webhook's `event` says the status is; `None` for an event we do not know.
    ///
    /// Source: `docs/kyc-events`. The success event alone does not end in `_KYC`.
    pub fn from_event(event: &str) -> Option<Status> {
        match event {
            "CREATED_KYC" => Some(Status::Submitted),
            "REVIEW_NEEDED_KYC" => Some(Status::InReview),
            "VERIFIED_USER" => Some(Status::Verified),
            "REJECTED_KYC" => Some(Status::Rejected),
            _ => None,
        }
    }
}

/// A word of the provider's that has no meaning here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownWord;

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What moved a status last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A link that opened an attempt.
    Link,
    /// A signed webhook.
    Webhook,
    /// The provider's own answer to a look.
    Provider,
    /// An admin or an import.
    Manual,
}

impl Source {
    /// Every source.
    pub const ALL: [Source; 4] = [
        Source::Link,
        Source::Webhook,
        Source::Provider,
        Source::Manual,
    ];

    /// The word used in answers and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Source::Link => "link",
            Source::Webhook => "webhook",
            Source::Provider => "provider",
            Source::Manual => "manual",
        }
    }

    /// The source of that word, if there is one.
    pub fn from_word(word: &str) -> Option<Source> {
        Source::ALL
            .into_iter()
            .find(|source| source.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_as_itself() {
        for status in Status::ALL {
            assert_eq!(Status::from_word(status.as_str()), Some(status));
        }
        for source in Source::ALL {
            assert_eq!(Source::from_word(source.as_str()), Some(source));
        }
        assert_eq!(Status::from_word("VERIFIED"), None);
    }

    #[test]
    fn both_vocabularies_of_results_are_read_and_nothing_is_guessed() {
        for (words, status) in [
            (["APPROVED", "VERIFIED"], Some(Status::Verified)),
            (["DECLINED", "REJECTED"], Some(Status::Rejected)),
            (["REVIEW", "REVIEW_NEEDED"], Some(Status::InReview)),
            (["UNKNOWN", ""], None),
        ] {
            for word in words {
                assert_eq!(Status::from_result(word), Ok(status), "{word:?}");
            }
        }
        for unknown in [
            "PASSED",
            "VERIFIED.",
            "CLEAN",
            "COMPLETED",
            "?",
            "ＶＥＲＩＦＩＥＤ",
        ] {
            assert_eq!(Status::from_result(unknown), Err(UnknownWord), "{unknown}");
        }
    }

    #[test]
    fn a_result_counts_without_regard_to_case_and_surrounding_space_but_not_with_a_control_character()
     {
        for (word, status) in [
            ("approved", Some(Status::Verified)),
            (" Verified\u{a0}", Some(Status::Verified)),
            ("Declined ", Some(Status::Rejected)),
            ("review_Needed", Some(Status::InReview)),
            ("unknown", None),
            ("  ", None),
        ] {
            assert_eq!(Status::from_result(word), Ok(status), "{word:?}");
        }
        for unknown in [
            "APPR\0OVED",
            "APPROVED\0",
            "\u{7}",
            "APPROVED\n",
            "VERI FIED",
        ] {
            assert_eq!(
                Status::from_result(unknown),
                Err(UnknownWord),
                "{unknown:?}"
            );
        }
    }

    #[test]
    fn only_the_four_documented_events_mean_a_status() {
        assert_eq!(Status::from_event("CREATED_KYC"), Some(Status::Submitted));
        assert_eq!(
            Status::from_event("REVIEW_NEEDED_KYC"),
            Some(Status::InReview)
        );
        assert_eq!(Status::from_event("VERIFIED_USER"), Some(Status::Verified));
        assert_eq!(Status::from_event("REJECTED_KYC"), Some(Status::Rejected));
        for unknown in [
            "",
            "VERIFIED_KYC",
            "verified_user",
            "VERIFIED_USER ",
            "PAUSED_KYC",
        ] {
            assert_eq!(Status::from_event(unknown), None, "{unknown:?}");
        }
    }
}
