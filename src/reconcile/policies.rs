//! What a change of a partner's `confirm` does to its users, found out at the next start.

use crate::catch_up::{self, Scope};
use crate::clock::Timestamp;
use crate::config::Partner;
use crate::db::transitions::{self, Cause};
use crate::db::users;
use crate::db::{Conn, QueryResult, heartbeats, looks, trust_policies};
use crate::kyc::verification::TrustPolicy;

/// The heartbeat that a migration leaves behind where it could not date the unconfirmed verdicts.
const UNDATED: &str = "undated_verdicts";

/// Compares the policy of each partner with the one it had, and does what follows; run it in a write before anything is
/// answered. Nothing happens a second time.
///
/// - To `never`: doubts end, and decided users are final. Held news stays for an admin.
/// - From `never`: verdicts count as confirmed and heard, and every user is checked.
/// - After an upgrade from a release without unconfirmed verdicts: they count as applied now.
pub fn take_up(conn: &mut Conn, partners: &[Partner], now: Timestamp) -> QueryResult<()> {
    let undated = heartbeats::last(conn, UNDATED)?.is_some();
    if undated {
        trust_policies::date_verdicts(conn, now)?;
        heartbeats::forget(conn, UNDATED)?;
    }
    for partner in partners {
        let before = trust_policies::of(conn, &partner.id)?;
        if before != Some(partner.trust.policy) {
            change(conn, partner, before, undated, now)?;
            trust_policies::save(conn, &partner.id, partner.trust.policy)?;
        }
    }
    Ok(())
}

fn change(
    conn: &mut Conn,
    partner: &Partner,
    before: Option<TrustPolicy>,
    undated: bool,
    now: Timestamp,
) -> QueryResult<()> {
    if partner.trust.policy.checks() {
        looks::take_up(conn, &partner.id, now)?;
    } else if before.is_some() || undated {
        for key in trust_policies::with_unconfirmed_verdict(conn, &partner.id)? {
            let user = users::by_key(conn, &key)?;
            let confirmed = user.state().confirmed();
            transitions::record(conn, &user, confirmed, Cause::Policy, now)?;
        }
    }
    if before == Some(TrustPolicy::Never) {
        trust_policies::hear_verdicts(conn, &partner.id)?;
        catch_up::open(conn, &partner.id, Scope::Everybody, now, now)?;
    }
    Ok(())
}
