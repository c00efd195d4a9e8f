//! Everything the sandbox remembers: accounts' webhook settings, users, sessions, notifications, the current fault.
//!
//! It lives behind one mutex and does no I/O, so nothing here may wait. Every collection is bounded and forgets its
//! oldest entry beyond the bound: a load run of a week must not fill the memory. Ids of users are unique over all
//! accounts, as at the provider; external ids and emails are unique within one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::Account;
use super::bounded::Bounded;
use super::fault::{Fault, Mode};
use super::link_request::LinkRequest;
use super::notifications::{Notification, Status};
use super::refusal::Refusal;

const MAX_USERS: usize = 100_000;
const MAX_SESSIONS: usize = 100_000;
const MAX_NOTIFICATIONS: usize = 100_000;

/// Which of the configured accounts is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct AccountIndex(pub(super) usize);

/// The memory of one sandbox.
pub(super) struct State {
    /// By [`AccountIndex`].
    pub(super) hooks: Vec<Hook>,
    users: Bounded<String, User>,
    claims: HashMap<(AccountIndex, Claim), String>,
    sessions: Bounded<Uuid, Session>,
    pub(super) notifications: Bounded<Uuid, Notification>,
    /// How often the receiver acknowledged webhooks of each account with each body.
    pub(super) acknowledged: Bounded<(AccountIndex, String), u64>,
    pub(super) fault: Fault,
}

/// One account's webhook settings, and its recent manual retries.
pub(super) struct Hook {
    pub(super) id: Uuid,
    pub(super) partner_id: Uuid,
    pub(super) url: Option<Url>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
    pub(super) manual_retries: VecDeque<DateTime<Utc>>,
}

/// What only one user of an account may have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Claim {
    ExternalUserId(String),
    Email(String),
}

/// Decides between KYC and KYB (`reference/userpartnercontrollerv2_createuser`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UserType {
    Individual,
    Business,
}

/// A person or business of one account.
struct User {
    account: AccountIndex,
    user_type: UserType,
    external_user_id: Option<String>,
    email: Option<String>,
    latest_session: Option<Uuid>,
}

/// What a person said on the verification page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Verified,
    Rejected,
    ReviewNeeded,
}

impl Verdict {
    /// As `kyc/details` says it.
    pub(super) fn result(self) -> &'static str {
        match self {
            Self::Verified => "VERIFIED",
            Self::Rejected => "REJECTED",
            Self::ReviewNeeded => "REVIEW_NEEDED",
        }
    }

    /// As a webhook says it; the success event does not end in `_KYC` (`docs/kyc-events`).
    fn event(self) -> &'static str {
        match self {
            Self::Verified => "VERIFIED_USER",
            Self::Rejected => "REJECTED_KYC",
            Self::ReviewNeeded => "REVIEW_NEEDED_KYC",
        }
    }
}

/// One run of verification, opened by a link.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) account: AccountIndex,
    pub(super) user_id: String,
    pub(super) country: String,
    pub(super) redirect_uri: Option<String>,
    pub(super) personal_info: Option<Value>,
    pub(super) verdict: Option<Verdict>,
    /// What the verdict was before the last click, and when that was.
    pub(super) former: Option<(Option<Verdict>, Instant)>,
    pub(super) created_at: DateTime<Utc>,
    /// Held during the first attempts of one click, so that a second click's events follow the first one's.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
}

impl Session {
    /// The verdict as a copy sees it that learns of every click only so much later.
    pub(super) fn verdict_seen_after(&self, lag: Duration) -> Option<Verdict> {
        match self.former {
            Some((former, at)) if at.elapsed() < lag => former,
            _ => self.verdict,
        }
    }
}

/// What a click set off.
pub(super) struct Click {
    pub(super) events: Vec<&'static str>,
    pub(super) notifications: Vec<Uuid>,
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
}

impl State {
    pub(super) fn new(accounts: &[Account]) -> Self {
        let now = now();
        let hook = |account: &Account| Hook {
            id: Uuid::now_v7(),
            partner_id: Uuid::now_v7(),
            url: account.webhook_url.clone(),
            created_at: now,
            updated_at: now,
            manual_retries: VecDeque::new(),
        };
        Self {
            hooks: accounts.iter().map(hook).collect(),
            users: Bounded::new(MAX_USERS),
            claims: HashMap::new(),
            sessions: Bounded::new(MAX_SESSIONS),
            notifications: Bounded::new(MAX_NOTIFICATIONS),
            acknowledged: Bounded::new(MAX_NOTIFICATIONS),
            fault: Fault::new(Mode::None),
        }
    }

    /// Makes a user as `POST users` does; a taken `externalUserId` or email is a conflict.
    pub(super) fn create_user(
        &mut self,
        account: AccountIndex,
        user_type: UserType,
        email: &str,
        external_user_id: Option<&str>,
    ) -> Result<String, Refusal> {
        let email = email.to_ascii_lowercase();
        let taken = |claim| self.claims.contains_key(&(account, claim));
        if external_user_id.is_some_and(|id| taken(Claim::ExternalUserId(id.to_owned()))) {
            return Err(Refusal::conflict("externalUserId already exists"));
        }
        if taken(Claim::Email(email.clone())) {
            return Err(Refusal::conflict("email already exists"));
        }
        let user_id = Uuid::now_v7().to_string();
        let user = User {
            account,
            user_type,
            external_user_id: external_user_id.map(str::to_owned),
            email: Some(email),
            latest_session: None,
        };
        self.insert_user(&user_id, user);
        Ok(user_id)
    }

    /// Sets which `externalUserId` a user has; makes the user when it is new.
    pub(super) fn adopt(
        &mut self,
        account: AccountIndex,
        user_id: &str,
        external_user_id: &str,
    ) -> Result<(), Refusal> {
        let claim = (account, Claim::ExternalUserId(external_user_id.to_owned()));
        if self.claims.get(&claim).is_some_and(|by| by != user_id) {
            return Err(Refusal::conflict(
                "externalUserId belongs to another user of the account",
            ));
        }
        match self.users.get_mut(user_id) {
            Some(user) if user.account != account => {
                return Err(Refusal::conflict("userId belongs to another account"));
            }
            Some(user) => {
                if let Some(former) = user.external_user_id.replace(external_user_id.to_owned()) {
                    let former = (account, Claim::ExternalUserId(former));
                    if self.claims.get(&former).is_some_and(|by| by == user_id) {
                        self.claims.remove(&former);
                    }
                }
                self.claims.insert(claim, user_id.to_owned());
            }
            None => self.insert_user(user_id, User::adopted(account, external_user_id)),
        }
        Ok(())
    }

    /// Opens a session for a user and makes it the latest; an unseen user is adopted on the way.
    pub(super) fn open_session(
        &mut self,
        account: AccountIndex,
        user_id: &str,
        session_id: Uuid,
        request: LinkRequest,
    ) -> Result<(), Refusal> {
        if !self.is_own_user(account, user_id)? {
            self.insert_user(user_id, User::adopted(account, user_id));
        }
        if let Some(user) = self.users.get_mut(user_id) {
            if user.user_type == UserType::Business {
                return Err(Refusal::wrong_verification_type());
            }
            user.latest_session = Some(session_id);
        }
        let session = Session {
            account,
            user_id: user_id.to_owned(),
            country: request.country,
            redirect_uri: request.redirect_uri,
            personal_info: request.personal_info,
            verdict: None,
            former: None,
            created_at: now(),
            turn: Arc::default(),
        };
        self.sessions.insert(session_id, session);
        Ok(())
    }

    /// The session that `kyc/details` tells about.
    pub(super) fn latest_session(
        &self,
        account: AccountIndex,
        user_id: &str,
    ) -> Result<(Uuid, &Session), Refusal> {
        self.is_own_user(account, user_id)?;
        let id = self.users.get(user_id).and_then(|user| user.latest_session);
        id.and_then(|id| Some((id, self.sessions.get(&id)?)))
            .ok_or(Refusal::verification_not_found())
    }

    /// The latest session of a user, whosever it is.
    pub(super) fn latest_session_of(&self, user_id: &str) -> Option<Uuid> {
        self.users.get(user_id)?.latest_session
    }

    pub(super) fn session(&self, session_id: Uuid) -> Option<&Session> {
        self.sessions.get(&session_id)
    }

    /// What the webhooks of a user carry; null for one made without it, since no page says what happens then.
    pub(super) fn external_user_id(&self, user_id: &str) -> Option<String> {
        match self.users.get(user_id) {
            Some(user) => user.external_user_id.clone(),
            None => Some(user_id.to_owned()),
        }
    }

    /// Records a verdict and the notifications it causes, in the order in which they happened.
    pub(super) fn click(&mut self, session_id: Uuid, verdict: Verdict) -> Option<Click> {
        let session = self.sessions.get_mut(&session_id)?;
        let former = session.verdict.replace(verdict);
        session.former = Some((former, Instant::now()));
        let (account, turn) = (session.account, Arc::clone(&session.turn));
        let user_id = session.user_id.clone();
        let external_user_id = self.external_user_id(&user_id);
        let status = match self.hooks[account.0].url {
            Some(_) => Status::Pending,
            None => Status::NotSent,
        };
        let events = match former {
            None => vec!["CREATED_KYC", verdict.event()],
            Some(_) => vec![verdict.event()],
        };
        let mut notifications = Vec::new();
        for event in &events {
            let id = Uuid::now_v7();
            let notification = Notification::new(account, event, external_user_id.clone(), status);
            self.notifications.insert(id, notification);
            notifications.push(id);
        }
        Some(Click {
            events,
            notifications,
            turn,
        })
    }

    /// Counts a webhook that the receiver said it has.
    pub(super) fn acknowledge(&mut self, account: AccountIndex, body: &str) {
        let key = (account, body.to_owned());
        match self.acknowledged.get_mut(&key) {
            Some(times) => *times += 1,
            None => {
                self.acknowledged.insert(key, 1);
            }
        }
    }

    /// Whether the user is known; one of another account, or one called unknown, is refused.
    fn is_own_user(&self, account: AccountIndex, user_id: &str) -> Result<bool, Refusal> {
        if user_id.starts_with("unknown") {
            return Err(Refusal::user_not_found());
        }
        match self.users.get(user_id) {
            Some(user) if user.account != account => Err(Refusal::foreign_user()),
            known => Ok(known.is_some()),
        }
    }

    fn insert_user(&mut self, user_id: &str, user: User) {
        let account = user.account;
        for claim in user.claims() {
            // An adopted user's external id is a guess, which must not take a real one away.
            self.claims
                .entry((account, claim))
                .or_insert_with(|| user_id.to_owned());
        }
        if let Some((forgotten_id, forgotten)) = self.users.insert(user_id.to_owned(), user) {
            for claim in forgotten.claims() {
                let claim = (forgotten.account, claim);
                if self.claims.get(&claim) == Some(&forgotten_id) {
                    self.claims.remove(&claim);
                }
            }
        }
    }
}

impl User {
    fn adopted(account: AccountIndex, external_user_id: &str) -> Self {
        Self {
            account,
            user_type: UserType::Individual,
            external_user_id: Some(external_user_id.to_owned()),
            email: None,
            latest_session: None,
        }
    }

    fn claims(&self) -> impl Iterator<Item = Claim> {
        let external = self.external_user_id.clone().map(Claim::ExternalUserId);
        external
            .into_iter()
            .chain(self.email.clone().map(Claim::Email))
    }
}

/// The sandbox plays another machine, so it has its own clock and not the service's.
pub(super) fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

/// RFC 3339 with milliseconds and `Z`, the form of every page but `webhook-settings`.
pub(super) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
