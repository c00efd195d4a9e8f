//! Issues a link: registers the user as pending, asks the provider, keeps the link.
//!
//! The user is on the disk before the provider is asked, so that a webhook that overtakes the answer finds its user and
//! a crash in between leaves a pending user and not a hole. No transaction stays open over the call.

use serde_json::json;

use crate::app::App;
use crate::capa::details::{Details, Unusable};
use crate::clock::{Clock, Timestamp};
use crate::config::{Links, Partner};
use crate::db::looks::{self, LinksAsked};
use crate::db::transitions::{self, Cause};
use crate::db::users::{self, NewUser, User, View};
use crate::db::{Conn, QueryResult, learnt_ids, new_links};
use crate::error::{Code, Error};
use crate::ingest::{self, Believed};
use crate::kyc::link_request::LinkRequest;
use crate::kyc::looks::LATE;
use crate::kyc::sessions::Note;
use crate::kyc::status::Status;
use crate::kyc::verification::{Link, State, Trust, link};
use crate::once::Once;
use crate::reconcile::{self, asked};

/// A user with a link to hand out.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The user, with the link.
    pub user: User,
    /// Whether the link was there already.
    pub resumed: bool,
}

/// What the first write decides.
#[derive(Debug)]
pub(crate) enum Begun {
    /// The provider is to be asked for a link of this user.
    Ask(User),
    /// The provider is to be asked for the last session of this user's attempt, which has to be noted before the next one opens.
    AskSession(User),
    /// Nothing more is to be done.
    Done(Result<Issued, Error>),
}

/// Gives the user's open link, or asks the provider for one.
///
/// Twice, while it is open, gives the same; so does any number of callers at the same time, except those who insist on a
/// new one. What is answered `once` is kept by the write that decides it.
///
/// # Errors
/// When the user is verified, an id is taken, or the provider or the store fails; the user then stays pending.
pub async fn link_for(
    app: &App,
    partner: &Partner,
    request: LinkRequest,
    once: Option<&Once>,
) -> Result<Issued, Error> {
    if request.force_new {
        return one_link(app, partner, request, once).await;
    }
    let user_id = request.user_id.clone();
    alone(app, partner, &user_id, async || {
        one_link(app, partner, request, once).await
    })
    .await
}

/// Gives the user's open link, or asks the provider for one as it was last asked.
///
/// It is asked without `personalInfo`, which is not kept. And it is asked only while the attempt of that number is open: the
/// user that comes back says where it stands.
///
/// # Errors
/// As [`link_for`].
pub async fn link_again(
    app: &App,
    partner: &Partner,
    user_id: &str,
    attempt: i64,
) -> Result<User, Error> {
    // Read when nobody else asks, so that what another has just asked for is not taken back.
    let issued = alone(app, partner, user_id, async || {
        let (partner_id, id) = (partner.id.clone(), user_id.to_owned());
        let user = app
            .db
            .fetch(move |conn| users::find(conn, &partner_id, &id))
            .await?
            .ok_or_else(Error::user_not_found)?;
        let body = json!({"country": user.country, "partnerRedirectUri": user.redirect_uri});
        let request = LinkRequest::parse_as_provider_for(user_id, &body);
        let request = LinkRequest {
            attempt: Some(attempt),
            ..request.map_err(Error::invalid_request)?
        };
        one_link(app, partner, request, None).await
    });
    issued.await.map(|issued| issued.user)
}

/// Does the work for a user, and for nobody else who wants it done for the same user at the same time: they wait for its
/// end, and do theirs then unless it failed.
async fn alone(
    app: &App,
    partner: &Partner,
    user_id: &str,
    work: impl AsyncFnOnce() -> Result<Issued, Error>,
) -> Result<Issued, Error> {
    let name = format!("{}/{user_id}", partner.id);
    loop {
        match app.flights.board(&name).await {
            Ok(flight) => {
                let issued = work().await;
                flight.land(issued.as_ref().map(drop).map_err(Error::clone));
                return issued;
            }
            // What is wrong with another's request may be right with this one.
            Err(Some(Err(error))) if error.is_ours() => return Err(error),
            Err(_) => {}
        }
    }
}

async fn one_link(
    app: &App,
    partner: &Partner,
    request: LinkRequest,
    once: Option<&Once>,
) -> Result<Issued, Error> {
    let now = app.clock.now();
    let (user, day) = match decide(app, partner, &request, once, None).await? {
        Begun::Ask(user) => (user, now.day()),
        Begun::Done(answer) => return answer,
        Begun::AskSession(user) => {
            let asked_at = app.clock.now();
            let answer = asked::session(app, partner, &user).await?;
            let session = LastSession { answer, asked_at };
            match decide(app, partner, &request, once, Some(session)).await? {
                Begun::Ask(user) => (user, app.clock.now().day()),
                Begun::Done(answer) => return answer,
                Begun::AskSession(_) => return Err(Error::session_unknown()),
            }
        }
    };
    let link = app.capa.create_link(&partner.provider_api_key, &request);
    let link = link.await.map_err(Error::from);
    let (now, once, trust) = (app.clock.now(), once.cloned(), partner.trust);
    let link = match link {
        Ok(link) => link,
        Err(error) => {
            let refused = Err(error.clone());
            let none_made = !may_have_made_a_link(&error);
            let give_back = move |conn: &mut Conn| {
                new_links::give_back(conn, &user.id, day)?;
                let (count, ended) = if none_made {
                    (-1, None)
                } else {
                    (0, Some(now))
                };
                count_link(conn, &user.id, count, ended)?;
                keep_answer(conn, once.as_ref(), &refused, now)
            };
            // Where even that fails, one more link is counted than was made, and the provider is asked again.
            let _ = app.db.write(give_back).await;
            return Err(error);
        }
    };
    let kept = move |conn: &mut Conn| {
        let issued = Issued {
            user: keep(conn, trust, &user, link, now)?,
            resumed: false,
        };
        let answer = Ok(issued);
        keep_answer(conn, once.as_ref(), &answer, now)?;
        Ok(answer)
    };
    app.db.write(kept).await?
}

/// The first write, and what it decides.
async fn decide(
    app: &App,
    partner: &Partner,
    request: &LinkRequest,
    once: Option<&Once>,
    session: Option<LastSession>,
) -> Result<Begun, Error> {
    let (clock, links, once) = (app.clock.clone(), app.config.links.clone(), once.cloned());
    let (believed, partner) = (app.believed(partner), partner.id.clone());
    let request = request.clone();
    let begin = move |conn: &mut Conn| {
        let begun = begin(conn, &clock, &links, &believed, &partner, &request, session)?;
        if let Begun::Done(answer) = &begun {
            keep_answer(conn, once.as_ref(), answer, clock.now())?;
        }
        Ok(begun)
    };
    Ok(app.db.write(begin).await?)
}

/// What the provider answered when it was asked for the last session of an attempt.
#[derive(Clone, Debug)]
pub(crate) struct LastSession {
    /// The answer.
    pub(crate) answer: Result<Option<Details>, Unusable>,
    /// When it was asked.
    pub(crate) asked_at: Timestamp,
}

/// Whether the provider may have made a link although it gave none: then its session counts like that of one it gave.
fn may_have_made_a_link(error: &Error) -> bool {
    matches!(
        error.code(),
        Code::ProviderUnavailable | Code::ProviderInvalidResponse
    )
}

fn keep_answer(
    conn: &mut Conn,
    once: Option<&Once>,
    answer: &Result<Issued, Error>,
    now: Timestamp,
) -> QueryResult<()> {
    once.map_or(Ok(()), |once| once.keep(conn, answer, now))
}

fn already_verified(in_doubt: bool) -> Error {
    let detail = if in_doubt {
        "The user was verified, and the provider has not confirmed it or there is news against it. Wait for the status, or insist with forceNew."
    } else {
        "The user needs no link. To verify again anyway, insist with forceNew: the user is pending from then on."
    };
    Error::new(Code::AlreadyVerified, detail)
}

/// The first write: registers the user or finds it, and opens the attempt that the link belongs to.
pub(crate) fn begin(
    conn: &mut Conn,
    clock: &Clock,
    links: &Links,
    believed: &Believed,
    partner: &str,
    request: &LinkRequest,
    session: Option<LastSession>,
) -> QueryResult<Begun> {
    let (now, trust) = (clock.now(), believed.trust);
    let user = match users::find(conn, partner, &request.user_id)? {
        Some(user) => {
            let user = transitions::on_time(conn, user, View::new(now, trust))?;
            match rename(conn, &user, request, now)? {
                Ok(user) => user,
                Err(taken) => return Ok(Begun::Done(Err(taken))),
            }
        }
        None => {
            let learnt = match request.external_user_id {
                Some(_) => None,
                None => learnt_ids::of(conn, partner, &request.user_id)?,
            };
            let named = request.external_user_id.as_ref().or(learnt.as_ref());
            let external_user_id = named.unwrap_or(&request.user_id);
            if users::by_external_id(conn, partner, external_user_id)?.is_some() {
                return Ok(Begun::Done(Err(taken())));
            }
            let new = NewUser {
                id: clock.id(),
                partner,
                user_id: &request.user_id,
                external_user_id,
                country: request.country,
                redirect_uri: request.partner_redirect_uri.as_deref(),
                status: Status::Pending,
                heard: false,
            };
            let user = transitions::register(conn, &new, now)?;
            if trust.policy.checks() {
                reconcile::watch(conn, &user, now)?;
            }
            user
        }
    };
    let user = ingest::unmatched(conn, clock, believed, user)?;
    let is_over = |attempt| attempt != user.attempt || !user.state().may_have_link();
    if request.attempt.is_some_and(is_over) {
        let resumed = true;
        return Ok(Begun::Done(Ok(Issued { user, resumed })));
    }
    let next = match link(user.state(), request.force_new) {
        Link::AlreadyVerified => {
            let in_doubt = user.state().needs_confirmation();
            return Ok(Begun::Done(Err(already_verified(in_doubt))));
        }
        Link::Current if resumable(&user, links, request, now) => {
            let resumed = true;
            return Ok(Begun::Done(Ok(Issued { user, resumed })));
        }
        Link::Current => None,
        Link::Next(opened) => Some(opened),
    };
    let made = new_links::made(conn, &user.id, now.day())?;
    if made >= i64::from(links.new_per_day) {
        let too_many = Error::too_many_links(now.until_tomorrow());
        return Ok(Begun::Done(Err(too_many)));
    }
    if next.is_some()
        && let Some(waits) = wait_for_session(conn, trust, &user, session, now)?
    {
        return Ok(waits);
    }
    new_links::set(conn, &user.id, now.day(), made + 1)?;
    let user = match next {
        None => user,
        Some(opened) => open(conn, trust, &user, opened, now)?,
    };
    count_link(conn, &user.id, 1, Some(now))?;
    // If no link can be made now, the one that leads to another country's template must not be handed out in its place.
    let link = user.kyc_link.clone();
    let asked_for = User {
        country: request.country.to_owned(),
        redirect_uri: request.partner_redirect_uri.clone(),
        kyc_link: link.filter(|_| user.country == request.country),
        ..user.clone()
    };
    if (&asked_for.country, &asked_for.redirect_uri) == (&user.country, &user.redirect_uri) {
        return Ok(Begun::Ask(user));
    }
    transitions::touch(conn, &user, asked_for, now).map(Begun::Ask)
}

/// Before an attempt ends, its last session is noted: what the provider answers about that session later says nothing about
/// the next attempt. `None` once that is done, and where the provider is never asked.
fn wait_for_session(
    conn: &mut Conn,
    trust: Trust,
    user: &User,
    session: Option<LastSession>,
    now: Timestamp,
) -> QueryResult<Option<Begun>> {
    if !trust.policy.checks() {
        return Ok(None);
    }
    let Some(session) = session else {
        let links = looks::links_asked(conn, &user.id)?;
        let lately = |at: Option<Timestamp>| at.is_some_and(|at| now.age(at, LATE) < LATE);
        let too_early =
            lately(links.no_session_at) || (links.links_asked > 1 && lately(links.link_asked_at));
        return Ok(Some(if too_early {
            Begun::Done(Err(Error::session_unknown()))
        } else {
            Begun::AskSession(user.clone())
        }));
    };
    let reading = reconcile::reading(&session.answer);
    let noted = reconcile::note(conn, user, reading, (session.asked_at, now))?;
    Ok(match noted {
        Ok(Note::Session | Note::NoneTwice) => None,
        Ok(Note::NoneOnce | Note::TooEarly | Note::Outdated) | Err(_) => {
            Some(Begun::Done(Err(Error::session_unknown())))
        }
    })
}

/// Opens the next attempt.
fn open(
    conn: &mut Conn,
    trust: Trust,
    user: &User,
    opened: State,
    now: Timestamp,
) -> QueryResult<User> {
    let user = transitions::record(conn, user, opened, Cause::Link, now)?;
    if trust.policy.checks() {
        reconcile::next_attempt(conn, &user, now)?;
    }
    looks::save_links_asked(conn, &user.id, LinksAsked::default())?;
    Ok(user)
}

/// Counts a link that the provider is asked for, or takes one back that it certainly did not make; `now` is when the call began
/// or ended.
fn count_link(conn: &mut Conn, key: &str, by: i64, now: Option<Timestamp>) -> QueryResult<()> {
    let before = looks::links_asked(conn, key)?;
    let after = LinksAsked {
        links_asked: (before.links_asked + by).max(0),
        link_asked_at: now.or(before.link_asked_at),
        // Whatever named no session before did not know of this link's.
        no_session_at: None,
    };
    looks::save_links_asked(conn, key, after)
}

fn taken() -> Error {
    Error::new(
        Code::ExternalIdTaken,
        "Another user of yours has this externalUserId. Webhooks carry no other id, so it must be unique.",
    )
}

/// A user who was registered without an `externalUserId` may be given one later; one that was given stays, because the
/// provider's webhooks go on naming it.
fn rename(
    conn: &mut Conn,
    user: &User,
    request: &LinkRequest,
    now: Timestamp,
) -> QueryResult<Result<User, Error>> {
    let wanted = request.external_user_id.as_ref();
    let Some(wanted) = wanted.filter(|wanted| **wanted != user.external_user_id) else {
        return Ok(Ok(user.clone()));
    };
    if user.external_user_id != user.user_id {
        return Ok(Err(Error::new(
            Code::ExternalIdTaken,
            "This user is registered with another externalUserId, which stays.",
        )));
    }
    if users::by_external_id(conn, &user.partner, wanted)?.is_some() {
        return Ok(Err(taken()));
    }
    let renamed = User {
        external_user_id: wanted.clone(),
        ..user.clone()
    };
    transitions::touch(conn, user, renamed, now).map(Ok)
}

/// A link made for another country leads to another template, so it is not handed out for this one.
fn resumable(user: &User, links: &Links, request: &LinkRequest, now: Timestamp) -> bool {
    !request.force_new && open_link(user, links, now).is_some() && user.country == request.country
}

/// The user's link, if it is young enough to be handed out again.
pub fn open_link<'a>(user: &'a User, links: &Links, now: Timestamp) -> Option<&'a str> {
    let young = |made: Timestamp| made > now.minus(links.reuse_for);
    let link = user.kyc_link.as_deref();
    link.filter(|_| user.link_created_at.is_some_and(young))
}

/// The second write. A webhook may have moved the user during the call: then the link is kept only if the attempt is the
/// same and open.
pub(crate) fn keep(
    conn: &mut Conn,
    trust: Trust,
    asked: &User,
    link: String,
    now: Timestamp,
) -> QueryResult<User> {
    let user = users::find(conn, &asked.partner, &asked.user_id)?.ok_or(crate::db::NOT_FOUND)?;
    if user.attempt != asked.attempt {
        return Ok(user);
    }
    // The session may be as young as the answer that brought its link.
    count_link(conn, &user.id, 0, Some(now))?;
    let user = transitions::on_time(conn, user, View::new(now, trust))?;
    let linked = User {
        kyc_link: Some(link).filter(|_| user.state().may_have_link()),
        link_created_at: Some(now),
        ..user.clone()
    };
    let linked = transitions::touch(conn, &user, linked, now)?;
    if trust.policy.checks() {
        reconcile::watch(conn, &linked, now)?;
    }
    Ok(linked)
}
