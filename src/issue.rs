//! Issues a link: registers the user as pending, asks the provider, keeps the link.
//!
//! The user is on the disk before the provider is asked, so that a webhook that overtakes the answer finds its user and
//! a crash in between leaves a pending user and not a hole. No transaction stays open over the call.

use serde_json::json;

use crate::app::App;
use crate::clock::{Clock, Timestamp};
use crate::config::{Links, Partner};
use crate::db::transitions::{self, Cause};
use crate::db::users::{self, NewUser, User};
use crate::db::{Conn, QueryResult, learnt_ids, new_links};
use crate::error::{Code, Error};
use crate::ingest;
use crate::kyc::link_request::LinkRequest;
use crate::kyc::status::Status;
use crate::kyc::verification::{Link, TrustPolicy, link};
use crate::once::Once;
use crate::reconcile;

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
    let (now, confirm) = (app.clock.now(), app.config.webhooks.policy);
    let begun = {
        let (clock, links, once) = (app.clock.clone(), app.config.links.clone(), once.cloned());
        let (partner, request) = (partner.id.clone(), request.clone());
        let begin = move |conn: &mut Conn| {
            let begun = begin(conn, &clock, &links, confirm, &partner, &request)?;
            if let Begun::Done(answer) = &begun {
                keep_answer(conn, once.as_ref(), answer, now)?;
            }
            Ok(begun)
        };
        app.db.write(begin).await?
    };
    let user = match begun {
        Begun::Ask(user) => user,
        Begun::Done(answer) => return answer,
    };
    let (link, once) = (ask(app, partner, &request, &user).await, once.cloned());
    let day = now.day();
    let now = app.clock.now();
    let link = match link {
        Ok(link) => link,
        Err(error) => {
            let refused = Err(error.clone());
            let give_back = move |conn: &mut Conn| {
                new_links::give_back(conn, &user.id, day)?;
                keep_answer(conn, once.as_ref(), &refused, now)
            };
            // Where even that fails, one more link is counted than was made, and the provider is asked again.
            let _ = app.db.write(give_back).await;
            return Err(error);
        }
    };
    let kept = move |conn: &mut Conn| {
        let issued = Issued {
            user: keep(conn, confirm, &user, link, now)?,
            resumed: false,
        };
        let answer = Ok(issued);
        keep_answer(conn, once.as_ref(), &answer, now)?;
        Ok(answer)
    };
    app.db.write(kept).await?
}

fn keep_answer(
    conn: &mut Conn,
    once: Option<&Once>,
    answer: &Result<Issued, Error>,
    now: Timestamp,
) -> QueryResult<()> {
    once.map_or(Ok(()), |once| once.keep(conn, answer, now))
}

/// Has the provider make a link of the user's current attempt.
async fn ask(
    app: &App,
    partner: &Partner,
    request: &LinkRequest,
    user: &User,
) -> Result<String, Error> {
    if needs_session_noted(user, app.config.webhooks.policy) {
        reconcile::note_session(app, partner, user).await?;
    }
    let link = app.capa.create_link(&partner.provider_api_key, request);
    Ok(link.await?)
}

fn already_verified(in_doubt: bool) -> Error {
    let detail = if in_doubt {
        "The user was verified and news against it waits for confirmation. Wait for the status, or insist with forceNew."
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
    confirm: TrustPolicy,
    partner: &str,
    request: &LinkRequest,
) -> QueryResult<Begun> {
    let now = clock.now();
    let user = match users::find(conn, partner, &request.user_id)? {
        Some(user) => match rename(conn, &user, request, now)? {
            Ok(user) => user,
            Err(taken) => return Ok(Begun::Done(Err(taken))),
        },
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
            };
            let user = transitions::register(conn, &new, now)?;
            if confirm != TrustPolicy::Never {
                reconcile::watch(conn, &user, now)?;
            }
            user
        }
    };
    let user = ingest::unmatched(conn, user, confirm, now)?;
    let is_over = |attempt| attempt != user.attempt || user.status.is_final();
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
    new_links::set(conn, &user.id, now.day(), made + 1)?;
    let user = match next {
        None => user,
        Some(opened) => {
            let user = transitions::record(conn, &user, opened, Cause::Link, now)?;
            if confirm != TrustPolicy::Never {
                reconcile::next_attempt(conn, &user, now)?;
            }
            user
        }
    };
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

/// Whether the latest session is to be noted first; once a link has been made, the latest one may be of this attempt.
pub(crate) fn needs_session_noted(user: &User, confirm: TrustPolicy) -> bool {
    user.awaits_its_first_link() && confirm != TrustPolicy::Never
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
    confirm: TrustPolicy,
    asked: &User,
    link: String,
    now: Timestamp,
) -> QueryResult<User> {
    let user = users::find(conn, &asked.partner, &asked.user_id)?.ok_or(crate::db::NOT_FOUND)?;
    if user.attempt != asked.attempt {
        return Ok(user);
    }
    // That the attempt has a session now is to be known even if nobody needs the link any more.
    let linked = User {
        kyc_link: Some(link).filter(|_| !user.status.is_final()),
        link_created_at: Some(now),
        ..user.clone()
    };
    let linked = transitions::touch(conn, &user, linked, now)?;
    if confirm != TrustPolicy::Never {
        reconcile::watch(conn, &linked, now)?;
    }
    Ok(linked)
}
