//! A small world to prove things in: the tracker's real code over a store in memory, a simulated provider, a driven clock.
//!
//! The provider changes its mind, sends events and answers checks, perhaps for a while from an old copy. The tracker receives
//! and checks through the functions that the service calls. Time moves only when told to, from one due check to the next, and
//! [`World::tried`] puts tracker, provider and time back as they were. The tracker's clock may jump; the provider's does not.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::capa::details::Details;
use crate::capa::signature::Verifier;
use crate::capa::signature::sign;
use crate::clock::{Clock, Timestamp};
use crate::config::Links;
use crate::config::WebhookSecret;
use crate::db::looks::{self, Memory};
use crate::db::users::{self, UserNow, View};
use crate::db::{self, Conn};
use crate::ingest::{self, Believed, Signed};
use crate::issue::{self, Begun, LastSession};
use crate::kyc::link_request::LinkRequest;
use crate::kyc::looks::Lane;
use crate::kyc::status::Status;
use crate::kyc::verification::{Trust, TrustPolicy};
use crate::overrule::{self, Order};
use crate::reconcile::{self, Look, Settlement};

/// The partner whose users all are.
pub(super) const PARTNER: &str = "acme";
const SECRET: &str = "a secret of the world's own";

/// When every world begins.
const START: Timestamp = Timestamp(1_800_000_000_000_000);

/// So long after a change the provider may still answer with what was before.
pub(super) const LAG: Duration = Duration::from_secs(20);

/// A verdict of the provider's; `None` while it has none.
pub(super) type Truth = Option<Status>;

/// Tracker, provider and time.
pub(super) struct World {
    pub(super) conn: Conn,
    clock: Clock,
    /// The true time, which the provider goes by.
    time: Timestamp,
    pub(super) trust: Trust,
    believed: Believed,
    links: Links,
    people: Vec<Person>,
    /// By the tracker's keys.
    places: HashMap<String, Who>,
    /// How many times the provider was asked.
    pub(super) gets: usize,
    /// What was wrong at some moment, if anything was.
    pub(super) wrong: Option<&'static str>,
    /// So much later than due may looks be made, several at a time.
    pub(super) grain: Duration,
}

/// A user of the world, by its place.
pub(super) type Who = usize;

/// What the provider knows of a person.
#[derive(Clone, Default)]
struct Person {
    /// The tracker's key of it, once it has asked for a link.
    key: Option<String>,
    sessions: Vec<Session>,
    /// What an answer shows from which moment on: a session and its truth.
    views: Vec<(Timestamp, usize, Truth)>,
    ever_verified: bool,
    /// The last verdict that the tracker heard since the provider last changed its mind.
    heard: Truth,
    /// The latest look whose answer counted.
    counted: i64,
}

/// One run of verification.
#[derive(Clone)]
struct Session {
    created_at: Timestamp,
    /// The tracker's attempt that its link was for.
    attempt: i64,
    /// Whether answers show it.
    shown: bool,
    truth: Truth,
}

/// How a link is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ask {
    /// Whether it is insisted on.
    pub(super) force_new: bool,
    /// Whether the provider's answers show the new session at once, and not only after something was handed in.
    pub(super) shown_at_once: bool,
    /// Whether the provider answers from a copy that lags behind.
    pub(super) outdated: bool,
    /// Whether the service dies before it has asked the provider.
    pub(super) cut_short: bool,
}

/// A look that was answered and whose answer is still on its way.
#[derive(Clone)]
pub(super) struct Answered {
    /// The tracker's attempt when it was asked.
    attempt: i64,
    look: Look,
    details: Option<Details>,
}

impl World {
    /// A world without people.
    pub(super) fn new(policy: TrustPolicy) -> World {
        let mut conn = db::in_memory();
        let trust = Trust {
            policy,
            unconfirmed_for: Duration::from_secs(300),
            unconfirmed_at_most: 100,
        };
        // One transaction for all: nothing has to outlive the world, and many small ones cost more.
        db::mark(&mut conn);
        World {
            conn,
            clock: Clock::driven(START),
            time: START,
            trust,
            believed: Believed {
                trust,
                verifier: Arc::new(Verifier::new(&[WebhookSecret::new(SECRET.into())], 1)),
            },
            links: Links {
                reuse_for: Duration::from_secs(3600),
                new_per_day: u32::MAX,
            },
            people: Vec::new(),
            places: HashMap::new(),
            gets: 0,
            wrong: None,
            grain: Duration::ZERO,
        }
    }

    /// Does something and puts everything back as it was.
    pub(super) fn tried<T>(&mut self, attempt: impl FnOnce(&mut World) -> T) -> T {
        let (now, people) = (self.time, self.people.clone());
        db::mark(&mut self.conn);
        let result = attempt(self);
        self.wrong = None;
        db::go_back(&mut self.conn);
        self.clock = Clock::driven(now);
        self.time = now;
        self.people = people;
        result
    }

    /// Time passes, and nothing else happens.
    pub(super) fn advance(&mut self, by: Duration) {
        self.time = self.time.plus(by);
        self.clock.advance(by);
    }

    /// The tracker's clock jumps ahead.
    pub(super) fn jump_ahead(&mut self, by: Duration) {
        self.clock.set_ahead(by);
    }

    /// The tracker's clock is put right, and the tracker notices: every user is checked.
    pub(super) fn put_right(&mut self) {
        let ahead = self.clock.now().since(self.time);
        if ahead.is_zero() {
            return;
        }
        self.clock.set_back(ahead);
        let people = self.people.iter();
        let keys: Vec<String> = people.filter_map(|person| person.key.clone()).collect();
        for key in keys {
            let user = users::by_key(&mut self.conn, &key).unwrap();
            reconcile::hurry(&mut self.conn, &user, self.clock.now()).unwrap();
        }
    }

    /// The tracker's present moment.
    pub(super) fn view(&self) -> View {
        View::new(self.clock.now(), self.trust)
    }

    /// A new person, who has not asked for a link.
    pub(super) fn person(&mut self) -> Who {
        self.people.push(Person::default());
        self.people.len() - 1
    }

    /// Asks for a link as the partner does; answers whether the provider made one.
    pub(super) fn link(&mut self, who: Who, ask: Ask) -> bool {
        let user = match self.begin(who, ask, None) {
            Begun::Ask(user) => user,
            Begun::AskSession(user) => {
                self.know(&user.id, who);
                let session = LastSession {
                    answer: Ok(self.read(who, ask.outdated)),
                    asked_at: self.clock.now(),
                };
                match self.begin(who, ask, Some(session)) {
                    Begun::Ask(user) => user,
                    _ => return false,
                }
            }
            Begun::Done(_) => return false,
        };
        self.know(&user.id, who);
        if ask.cut_short {
            return false;
        }
        self.people[who].sessions.push(Session {
            created_at: self.time,
            attempt: user.attempt,
            shown: ask.shown_at_once,
            truth: None,
        });
        self.people[who].view(self.time);
        let link = "https://provider.example/session".to_owned();
        let now = self.clock.now();
        issue::keep(&mut self.conn, self.trust, &user, link, now).unwrap();
        true
    }

    /// The same, again and again until the provider has said which session was the last one.
    pub(super) fn link_at_last(&mut self, who: Who, ask: Ask) -> bool {
        (0..3).any(|_| {
            let made = self.link(who, ask);
            if !made {
                self.pass(Duration::from_secs(31), false);
            }
            made
        })
    }

    fn begin(&mut self, who: Who, ask: Ask, session: Option<LastSession>) -> Begun {
        let request = json!({
            "userId": user_id(who), "externalUserId": external_id(who), "country": "DO", "forceNew": ask.force_new,
        });
        let request = LinkRequest::parse(&request).unwrap();
        let begun = issue::begin(
            &mut self.conn,
            &self.clock,
            &self.links,
            &self.believed,
            PARTNER,
            &request,
            session,
        );
        begun.unwrap()
    }

    fn know(&mut self, key: &str, who: Who) {
        self.places.insert(key.to_owned(), who);
        self.people[who].key = Some(key.to_owned());
    }

    /// The person hands everything in by the latest link; answers whether there was one.
    pub(super) fn submit(&mut self, who: Who) -> bool {
        let person = &mut self.people[who];
        let Some(latest) = person.sessions.last_mut() else {
            return false;
        };
        latest.shown = true;
        person.view(self.time);
        true
    }

    /// The provider changes its mind about the latest session that it shows; answers whether there was one.
    pub(super) fn decide(&mut self, who: Who, truth: Truth) -> bool {
        let person = &mut self.people[who];
        let Some(session) = person.latest() else {
            return false;
        };
        person.ever_verified |= truth == Some(Status::Verified);
        person.sessions[session].truth = truth;
        person.heard = None;
        person.view(self.time);
        true
    }

    /// An event arrives, rightly signed.
    pub(super) fn deliver(&mut self, who: Who, event: Status) {
        if event.is_final() {
            self.people[who].heard = Some(event);
        }
        let body = body(who, event);
        let mut signature = [0; 32];
        hex::decode_to_slice(sign(SECRET, &body), &mut signature).unwrap();
        let signed = Signed {
            partner: PARTNER.to_owned(),
            body,
            signature,
            secret: "one".to_owned(),
        };
        ingest::delivery(&mut self.conn, &self.clock, self.trust, signed).unwrap();
        self.watch(who);
    }

    /// A look takes its ticket and is answered now; the answer is put in its place by [`World::settle`], or never.
    pub(super) fn ask(&mut self, who: Who, outdated: bool) -> Answered {
        let (user, now) = (self.user(who), self.clock.now());
        let keys = [user.id.clone()];
        let mut begun = reconcile::begin(&mut self.conn, &self.clock, &keys, now).unwrap();
        Answered {
            attempt: user.attempt,
            look: begun.remove(0),
            details: self.read(who, outdated),
        }
    }

    /// The answer of a look arrives.
    pub(super) fn settle(&mut self, answered: &Answered) {
        let (now, who) = (self.clock.now(), self.places[&answered.look.key]);
        let reading = Ok(answered.details.as_ref());
        let settled =
            reconcile::settle(&mut self.conn, self.trust, &answered.look, reading, now).unwrap();
        let settled = settled.settlement;
        let moved = matches!(settled, Settlement::Moved { .. });
        let user = self.user(who);
        let heard = looks::of(&mut self.conn, &user.id).unwrap().hint_seq;
        if moved && user.state().shown() == Status::Verified && answered.look.ticket.seen != heard {
            self.wrong = Some("moved to verified by a look before the last event");
        }
        let (ticket, counted) = (answered.look.ticket.number, self.people[who].counted);
        if moved && ticket < counted {
            self.wrong = Some("moved by a look after a later one had been answered");
        }
        let counts = !matches!(settled, Settlement::Unusable(_) | Settlement::Fenced);
        if counts && answered.attempt != user.attempt {
            self.wrong = Some("a look begun in an earlier attempt counted");
        }
        if counts {
            self.people[who].counted = counted.max(ticket);
        }
        self.watch(who);
    }

    /// A whole look, in no time.
    pub(super) fn look(&mut self, who: Who, outdated: bool) {
        let answered = self.ask(who, outdated);
        self.settle(&answered);
    }

    /// Lets time pass, and every look be made when it is due.
    pub(super) fn pass(&mut self, span: Duration, outdated: bool) {
        let end = self.clock.now().plus(span);
        loop {
            let now = self.clock.now();
            let next = looks::next_due(&mut self.conn, PARTNER).unwrap();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.advance(end.since(now));
                self.keep_house();
                return;
            };
            self.advance(next.plus(self.grain).min(end).since(now));
            self.keep_house();
            for who in self.due() {
                self.look(who, outdated);
            }
        }
    }

    /// Writes down which verdicts were not confirmed in time.
    fn keep_house(&mut self) {
        let view = self.view();
        reconcile::put_in_doubt(&mut self.conn, view).unwrap();
    }

    /// Who is to be looked at now, the most urgent first.
    pub(super) fn due(&mut self) -> Vec<Who> {
        let now = self.clock.now();
        let mut due = Vec::new();
        for lane in Lane::ALL {
            let keys = looks::due(&mut self.conn, PARTNER, lane, now, i64::MAX).unwrap();
            due.extend(keys.iter().map(|key| self.places[key]));
        }
        due
    }

    /// The user as it reads now.
    pub(super) fn user(&mut self, who: Who) -> UserNow {
        let (key, view) = (self.key(who), self.view());
        users::by_key(&mut self.conn, &key).unwrap().at(view)
    }

    fn key(&self, who: Who) -> String {
        let key = self.people[who].key.clone();
        key.expect("a link was asked for")
    }

    /// The provider's truth of the attempt that the user is in: the one of the latest session shown, if it belongs to it.
    pub(super) fn truth(&self, who: Who, attempt: i64) -> Truth {
        let person = &self.people[who];
        let latest = &person.sessions[person.latest()?];
        (latest.attempt == attempt).then_some(latest.truth)?
    }

    /// How long the provider's answers have shown the session that they show.
    pub(super) fn shown_for(&self, who: Who) -> Duration {
        let views = &self.people[who].views;
        let latest = views.last().map(|(_, session, _)| *session);
        let first = views
            .iter()
            .find(|(_, session, _)| Some(*session) == latest);
        first.map_or(Duration::MAX, |(at, ..)| self.time.since(*at))
    }

    /// An admin sets the status.
    pub(super) fn overrule(&mut self, who: Who, status: Status) {
        let order = Order {
            admin: "ada".to_owned(),
            status,
            reason: "seen in person".to_owned(),
        };
        self.people[who].ever_verified |= status == Status::Verified;
        self.people[who].heard = None;
        let whom = (PARTNER, &*user_id(who));
        overrule::user(&mut self.conn, &self.clock, self.trust, whom, order).unwrap();
    }

    /// Sees whether what must hold at every moment still does.
    fn watch(&mut self, who: Who) {
        let user = self.user(who);
        if user.state().shown() != Status::Verified {
            return;
        }
        let rejected = Some(Status::Rejected);
        if !self.people[who].ever_verified {
            self.wrong = Some("shown verified, whom nobody ever verified");
        } else if !user.overridden
            && self.people[who].heard == rejected
            && self.truth(who, user.attempt) == rejected
        {
            self.wrong = Some("shown verified after the rejection that holds was heard");
        }
    }

    /// All on which it depends how a user in its first attempt goes on: two of the same go on alike. Times are told from now
    /// on; those that matter only after weeks are left out.
    pub(super) fn situation(&mut self, who: Who) -> String {
        let (user, now) = (self.user(who), self.clock.now());
        assert_eq!(user.attempt, 1);
        let from_now = |at: Option<Timestamp>| at.map(|at| Timestamp(at.0 - now.0));
        let memory = looks::of(&mut self.conn, &user.id).unwrap();
        let memory = Memory {
            hinted_at: from_now(memory.hinted_at),
            due_at: from_now(memory.due_at),
            looked_at: from_now(memory.looked_at),
            no_verdict_since: from_now(memory.no_verdict_since),
            confirmed_at: memory.confirmed_at.map(|_| Timestamp(0)),
            ..memory
        };
        let person = &self.people[who];
        let changed_at = person.views.last().map(|(at, ..)| *at);
        let age = changed_at.map(|at| self.time.since(at).min(LAG));
        let (heard, applied_at) = (person.heard, from_now(user.unconfirmed_at));
        format!(
            "{:?} {applied_at:?} {memory:?} {heard:?} {age:?}",
            user.state()
        )
    }

    /// What the provider answers; `outdated` if it does so from a copy that lags behind.
    fn read(&mut self, who: Who, outdated: bool) -> Option<Details> {
        self.gets += 1;
        let person = &self.people[who];
        let upto = match outdated {
            true => self.time.minus(LAG),
            false => self.time,
        };
        let seen = person.views.iter().rev().find(|(at, ..)| *at <= upto);
        seen.map(|(_, session, truth)| Details {
            result: Some(word(*truth).to_owned()),
            session_id: Some(format!("session-{session}")),
            session_created_at: Some(person.sessions[*session].created_at.0),
            reference_id: Some(user_id(who)),
        })
    }
}

impl Person {
    /// The latest session that answers show.
    fn latest(&self) -> Option<usize> {
        self.sessions.iter().rposition(|session| session.shown)
    }

    /// Writes down what answers show from now on.
    fn view(&mut self, now: Timestamp) {
        if let Some(latest) = self.latest() {
            self.views.push((now, latest, self.sessions[latest].truth));
        }
    }
}

fn user_id(who: Who) -> String {
    format!("user-{who}")
}

fn external_id(who: Who) -> String {
    format!("customer-{who}")
}

/// The provider's word for a truth.
fn word(truth: Truth) -> &'static str {
    match truth {
        Some(Status::Verified) => "APPROVED",
        Some(Status::Rejected) => "DECLINED",
        Some(Status::InReview) => "REVIEW",
        _ => "UNKNOWN",
    }
}

/// The exact bytes of an event, the same each time.
fn body(who: Who, event: Status) -> Vec<u8> {
    let event = match event {
        Status::InReview => "REVIEW_NEEDED_KYC",
        Status::Verified => "VERIFIED_USER",
        Status::Rejected => "REJECTED_KYC",
        Status::Pending | Status::Submitted => "CREATED_KYC",
    };
    let external_id = external_id(who);
    format!(r#"{{"type":"KYC","event":"{event}","externalUserId":"{external_id}"}}"#).into_bytes()
}
