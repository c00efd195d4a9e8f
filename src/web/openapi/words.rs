//! The schemas of our words: each lists exactly the words that the code has.

use utoipa::openapi::schema::Schema;
use utoipa::openapi::{Object, RefOr, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::db::Trouble;
use crate::db::users::Attention;
use crate::kyc::status::{Source, Status};
use crate::kyc::verification::Outcome;

/// A text that is one of these words.
pub fn one_of<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> Object {
    let words = words.into_iter().map(|word| word.as_ref().to_owned());
    Object::builder()
        .schema_type(Type::String)
        .enum_values(Some(words))
        .build()
}

/// How many users stand where.
pub fn counts_by_status() -> Object {
    counts(
        "Users by where they stand.",
        Status::ALL.map(Status::as_str),
    )
}

/// Of how many deliveries became what.
pub fn counts_by_outcome() -> Object {
    counts(
        "Deliveries by what became of them.",
        Outcome::ALL.map(Outcome::as_str),
    )
}

fn counts<const N: usize>(meaning: &str, words: [&str; N]) -> Object {
    let count = Object::builder()
        .schema_type(Type::Integer)
        .minimum(Some(0));
    let count = count.examples([0]).build();
    let mut counts = Object::builder().description(Some(meaning));
    for word in words {
        counts = counts.property(word, count.clone()).required(word);
    }
    counts.build()
}

macro_rules! words {
    ($type:ident, $meaning:literal) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let mut words = one_of($type::ALL.map($type::as_str));
                words.description = Some($meaning.to_owned());
                words.into()
            }
        }
        impl ToSchema for $type {}
    };
}

words!(
    Status,
    "`pending`: a link was asked for. `submitted`: the person has handed in everything. `in_review`: the provider has not \
     decided. `verified`: passed. `rejected`: failed, and the next link opens another attempt. The last two are final."
);
words!(
    Source,
    "What moved a user: a link, a signed webhook, the provider's own answer, or an admin or an import."
);
words!(
    Outcome,
    "What became of a delivery. `applied`: it moved the user. `repeated`: it says what is known. `stale`: it is older than \
     what is known. `unmatched`: no user has its `externalUserId` yet. `held`: it waits for confirmation. `ignored`: it \
     means nothing here. `unreadable`: its body cannot be read, and was not kept."
);
words!(
    Attention,
    "Why a user waits for a person. `held`: an event about it waits for confirmation. `conflict`: the provider and what it \
     sent disagree. `stalled`: nothing has been heard for a long time."
);
words!(Trouble, "What ails the store.");
