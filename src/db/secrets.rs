//! The table of secrets: random bytes that a store makes once and keeps, by what they are for.

use std::fmt;

use anyhow::Context;
use diesel::prelude::*;

use super::schema::secrets;
use super::{Conn, QueryResult};
use crate::random;

/// The name of the secret that signs the tokens of start pages.
pub const START_PAGES: &str = "start_pages";

/// The name of the secret under which the bodies of requests with an `Idempotency-Key` are compared.
pub const IDEMPOTENCY: &str = "idempotency";

/// 256 bits of the system's random source.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The secret of that name, made where there is none yet. Of two processes that make it at the same time both get the
/// one that was kept first.
///
/// # Errors
/// When the store cannot be asked, the system gives no random bytes, or what is kept is no such secret.
pub fn get(conn: &mut Conn, name: &str) -> anyhow::Result<Secret> {
    let kept = match find(conn, name)? {
        Some(kept) => kept,
        None => {
            let bytes = random::bytes::<32>().context("cannot read /dev/urandom")?;
            keep(conn, name, &bytes)?;
            find(conn, name)?.unwrap_or_default()
        }
    };
    let bytes = kept.try_into();
    let bytes = bytes.map_err(|_| anyhow::anyhow!("the secret {name} of the store is damaged"))?;
    Ok(Secret(bytes))
}

fn find(conn: &mut Conn, name: &str) -> QueryResult<Option<Vec<u8>>> {
    secrets::table
        .find(name)
        .select(secrets::bytes)
        .first(conn)
        .optional()
}

/// What is kept under the name already stays.
fn keep(conn: &mut Conn, name: &str, bytes: &[u8]) -> QueryResult<()> {
    diesel::insert_into(secrets::table)
        .values((secrets::name.eq(name), secrets::bytes.eq(bytes)))
        .on_conflict(secrets::name)
        .do_nothing()
        .execute(conn)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::config::Environment;
    use crate::db::{file, in_memory};

    #[test]
    fn a_secret_is_made_once_and_another_for_another_name() {
        let mut conn = in_memory();
        let first = get(&mut conn, "one").unwrap();
        assert_eq!(get(&mut conn, "one").unwrap(), first);
        assert_ne!(get(&mut conn, "two").unwrap(), first);
        assert_ne!(get(&mut in_memory(), "one").unwrap(), first);
        assert_eq!(format!("{first:?}"), "Secret(…)");
    }

    #[test]
    fn what_another_process_kept_first_stays() {
        let mut conn = in_memory();
        keep(&mut conn, "one", &[1; 32]).unwrap();
        keep(&mut conn, "one", &[2; 32]).unwrap();
        assert_eq!(get(&mut conn, "one").unwrap(), Secret([1; 32]));
    }

    #[test]
    fn many_who_open_a_new_store_at_the_same_time_have_the_same_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kyc.db");
        drop(file::open(&path, Environment::Sandbox).unwrap());
        let ready = Barrier::new(8);
        let open = || {
            let mut conn = file::open(&path, Environment::Sandbox).unwrap();
            ready.wait();
            get(&mut conn, "one").unwrap()
        };
        let secrets: Vec<Secret> = std::thread::scope(|scope| {
            let opening: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            let secrets = opening.into_iter();
            secrets.map(|secret| secret.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
    }

    #[test]
    fn a_damaged_secret_is_an_error_and_is_not_made_anew() {
        let mut conn = in_memory();
        keep(&mut conn, "one", &[1; 31]).unwrap();
        let error = get(&mut conn, "one").unwrap_err().to_string();
        assert_eq!(error, "the secret one of the store is damaged");
        assert_eq!(find(&mut conn, "one").unwrap(), Some(vec![1; 31]));
    }
}
