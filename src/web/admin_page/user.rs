//! `GET /admin/users/{user}`: all that is known of one user, why it stands where it stands, and what can be done.
//!
//! Its address has our own key of the user, which says nothing of anybody and fits into any address.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Path;
use askama::Template;

use super::filters::{self, Choice};
use super::timeline::{self, Event};
use super::times::When;
use super::visitor::Visitor;
use super::words::Badge;
use super::{After, Frame, Part, assets, show, words};
use crate::app::App;
use crate::clock::Timestamp;
use crate::db::acts::{self, Act};
use crate::db::deliveries::Delivery;
use crate::db::looks::{self, Memory};
use crate::db::overrides::{self, Override};
use crate::db::transitions::{self, Transition};
use crate::db::users::{self, Attention, UserNow, View};
use crate::db::{Conn, QueryResult, deliveries};
use crate::error::{Code, Error};
use crate::kyc::looks::STALLED;
use crate::web::admin::REASON;
use crate::web::extract::Query;
use crate::why::Known;

/// The address of the page of the user with that key.
pub fn address(key: &str) -> String {
    format!("/admin/users/{key}")
}

/// The user with the key in the address.
///
/// # Errors
/// When there is none, or the store fails.
pub async fn find(app: &App, key: &str) -> Result<UserNow, Error> {
    let key = key.to_owned();
    let found = app.db.fetch(move |conn| users::find_by_key(conn, &key));
    let user = found.await?.ok_or_else(not_found)?;
    Ok(user.at(app.view()))
}

/// The state that an admin has before the eyes, as a form has it, so that an act that comes too late can be told.
pub fn seen(user: &UserNow) -> String {
    format!("{}.{}", user.attempt, user.version)
}

fn not_found() -> Error {
    Error::new(Code::UserNotFound, "There is no user with this key.")
}

/// All that the page is made of.
pub struct Facts {
    /// The user.
    pub user: UserNow,
    /// What looks remember of it.
    pub memory: Memory,
    /// Its transitions, oldest first.
    pub history: Vec<Transition>,
    /// What admins set, oldest first.
    pub overrides: Vec<Override>,
    /// What else admins did, oldest first.
    pub acts: Vec<Act>,
    /// What came for it, oldest first.
    pub deliveries: Vec<Delivery>,
}

fn facts(conn: &mut Conn, key: &str, view: View) -> QueryResult<Option<Facts>> {
    let Some(user) = users::find_by_key(conn, key)? else {
        return Ok(None);
    };
    Ok(Some(Facts {
        memory: looks::of(conn, &user.id)?,
        history: transitions::of_user(conn, &user)?,
        overrides: overrides::of_user(conn, &user.id)?,
        acts: acts::of_user(conn, &user.id)?,
        deliveries: deliveries::of_user(conn, &user)?,
        user: user.at(view),
    }))
}

#[derive(Template)]
#[template(config = "src/web/admin_page/askama.toml", path = "user.html")]
struct Shown {
    frame: Frame,
    user: UserNow,
    shown: Badge,
    flags: Vec<(&'static str, &'static str)>,
    why: String,
    source: &'static str,
    registered: When,
    changed: When,
    decided: Option<When>,
    as_of: Option<When>,
    linked: Option<When>,
    held: Option<Badge>,
    word: Option<String>,
    failures: i64,
    looked: Option<When>,
    next_look: Option<When>,
    events: Vec<Event>,
    statuses: Vec<Choice>,
    act: String,
    /// Whether the provider can be asked about the user at all.
    askable: bool,
    /// What is seen of the user, for an act to say.
    seen: String,
}

/// The page.
pub async fn one(
    visitor: Visitor,
    key: Path<String>,
    query: Query<After>,
) -> Result<HttpResponse, Error> {
    let key = key.into_inner();
    let view = visitor.view();
    let found = visitor.db.read(move |conn| facts(conn, &key, view)).await?;
    let facts = found.ok_or_else(not_found)?;
    let language = visitor.language;
    let mut shown = Shown::new(&visitor, facts);
    shown.frame.said = query.0.said(language);
    Ok(show(StatusCode::OK, language, &shown))
}

impl Shown {
    fn new(visitor: &Visitor, facts: Facts) -> Shown {
        let (language, now) = (visitor.language, visitor.clock.now());
        let when = |at: Timestamp| When::new(language, at, now);
        let events = timeline::of(language, &facts, now);
        let Facts {
            user,
            memory,
            overrides,
            deliveries,
            ..
        } = facts;
        let known = Known::new(&user, &memory, &deliveries, &overrides);
        let attention = |attention| {
            (
                words::attention(language, attention),
                words::attention_means(language, attention),
            )
        };
        let needs = [
            (Attention::Held, user.held.is_some()),
            (Attention::Conflict, memory.conflict),
            (Attention::Stalled, memory.step == STALLED),
            (Attention::Unconfirmed, user.state().is_doubted()),
            (Attention::Unusable, memory.unusable.is_some()),
        ];
        let mut frame = Frame::new(visitor, Part::Users);
        frame.live = Some(super::live::address_of(&user.id));
        Shown {
            frame,
            shown: words::status_badge(language, user.state().shown()),
            flags: needs
                .into_iter()
                .filter(|(_, needed)| *needed)
                .map(|(reason, _)| attention(reason))
                .collect(),
            why: known.explain(language, now),
            source: words::source(language, user.source),
            registered: when(user.created_at),
            changed: when(user.updated_at),
            decided: user.shown_decided_at().map(when),
            as_of: user.as_of().map(when),
            linked: user.link_created_at.map(when),
            held: user.held.map(|held| words::status_badge(language, held)),
            word: memory.provider_word.filter(|word| !word.is_empty()),
            failures: memory.failures,
            looked: memory.looked_at.map(when),
            next_look: memory.due_at.map(when),
            events,
            statuses: filters::statuses(language, None),
            act: address(&user.id),
            askable: visitor.trust(&user.partner).policy.checks()
                && visitor.partner_place(&user.partner).is_some(),
            seen: seen(&user),
            user,
        }
    }
}
