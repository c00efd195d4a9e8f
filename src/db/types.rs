//! How our own types stand in columns: statuses and the like as their words, times as microseconds.
//!
//! A word in a column that is not ours is an error of the row, never a default.

use diesel::backend::Backend;
use diesel::deserialize::{FromSql, Queryable, Result};
use diesel::expression::AsExpression;
use diesel::serialize::{Output, Result as Serialized, ToSql};
use diesel::sql_types::{BigInt, Nullable, SingleValue, Text};

use crate::clock::Timestamp;
use crate::kyc::looks::Lane;
use crate::kyc::status::{Source, Status};
use crate::kyc::verification::{Outcome, TrustPolicy, Unconfirmed};

/// Lets a type be read from and written to columns of one SQL type.
///
/// `$owned` is what such a column is read as and `$plain` what is written to it, `$bound` being the latter by value.
macro_rules! column {
    ($ours:ty, $sql:ty, $owned:ty, $plain:ty, $bound:ty, $read:expr, $write:expr, $bind:expr) => {
        impl<DB: Backend> FromSql<$sql, DB> for $ours
        where
            $owned: FromSql<$sql, DB>,
        {
            fn from_sql(bytes: DB::RawValue<'_>) -> Result<Self> {
                let owned = <$owned as FromSql<$sql, DB>>::from_sql(bytes)?;
                let read: fn($owned) -> Option<$ours> = $read;
                read(owned).ok_or_else(|| concat!("not a ", stringify!($ours)).into())
            }
        }

        impl<ST: SingleValue, DB: Backend> Queryable<ST, DB> for $ours
        where
            $ours: FromSql<ST, DB>,
        {
            type Row = Self;
            fn build(row: Self) -> Result<Self> {
                Ok(row)
            }
        }

        impl<DB: Backend> ToSql<$sql, DB> for $ours
        where
            $plain: ToSql<$sql, DB>,
        {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> Serialized {
                let write: fn(&$ours) -> &$plain = $write;
                <$plain as ToSql<$sql, DB>>::to_sql(write(self), out)
            }
        }

        bound!($ours, $ours, $sql, $bound, $bind);
        bound!($ours, $ours, Nullable<$sql>, $bound, $bind);
        bound!(&$ours, $ours, $sql, $bound, $bind);
        bound!(&$ours, $ours, Nullable<$sql>, $bound, $bind);
    };
}

/// Lets a type, by value or as a derived update has it, be written to columns of one SQL type.
macro_rules! bound {
    ($given:ty, $ours:ty, $sql:ty, $bound:ty, $bind:expr) => {
        impl AsExpression<$sql> for $given {
            type Expression = <$bound as AsExpression<$sql>>::Expression;
            fn as_expression(self) -> Self::Expression {
                let bind: fn($ours) -> $bound = $bind;
                <$bound as AsExpression<$sql>>::as_expression(bind(self.to_owned()))
            }
        }
    };
}

/// A type with words of its own.
macro_rules! word {
    ($ours:ty) => {
        column!(
            $ours,
            Text,
            String,
            str,
            &'static str,
            |word| <$ours>::from_word(&word),
            |ours| ours.as_str(),
            |ours| ours.as_str()
        );
    };
}

word!(Status);
word!(Source);
word!(Outcome);
word!(Lane);
word!(TrustPolicy);
word!(Unconfirmed);
column!(
    Timestamp,
    BigInt,
    i64,
    i64,
    i64,
    |micros| Some(Timestamp(micros)),
    |time| &time.0,
    |time| time.0
);
