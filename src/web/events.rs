//! `GET /v1/kyc/events`: a partner's transitions as server-sent events, as they are committed.
//!
//! Each stream reads from the table what it has not sent yet, and rests until a commit wakes it; so a slow reader takes no
//! memory, and one that comes back with the last number it has seen misses nothing.

use std::fmt::Write as _;
use std::time::Duration;

use actix_web::http::header::HeaderName;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream::unfold;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::connection::Connection;
use super::documents::TransitionDocument;
use super::extract::{Listening, NoParameters, Query, only};
use crate::db::news::{Listener, Topic};
use crate::db::transitions::{self, Transition};
use crate::db::{self, Db};
use crate::error::{Code, Error};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How long a stream says nothing at the most, so that both ends see whether the other is there.
const QUIET: Duration = Duration::from_secs(15);
/// How many transitions are read at once.
const PAGE: i64 = 100;

/// The `data` of a server-sent event: a transition and whose it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Event)]
pub struct EventDocument {
    #[schema(examples("2da954cd-2fda-49c2-ad77-6208c5ab71d6"))]
    user_id: String,
    #[schema(examples("customer-42"))]
    external_user_id: String,
    #[serde(flatten)]
    transition: TransitionDocument,
}

/// Streams what comes after `Last-Event-ID`, or after now where there is none; ends when the service stops.
pub async fn stream(
    http: HttpRequest,
    caller: Listening,
    _: Query<NoParameters>,
) -> Result<HttpResponse, Error> {
    let caller = caller.0;
    let seat = caller.seats.stream(caller.place())?;
    let partner = caller.partner().id.clone();
    // From here on, so that nothing falls between what is read and what is waited for.
    let listener = caller.db.listen(Topic::Partner(partner.clone()));
    let last = {
        let partner = partner.clone();
        let last = move |conn: &mut db::Conn| transitions::last_seq(conn, &partner);
        caller.db.read(last).await?
    };
    let after = match only(http.headers(), &LAST_EVENT_ID) {
        Some(seen) => seen
            .parse()
            .ok()
            .filter(|seen| (0..=last).contains(seen))
            .ok_or_else(|| {
                let detail = "Last-Event-ID is no number of an event that has been.";
                Error::new(Code::InvalidCursor, detail)
            })?,
        None if http.headers().contains_key(LAST_EVENT_ID) => {
            return Err(Error::new(
                Code::InvalidCursor,
                "Send one Last-Event-ID, a number.",
            ));
        }
        None => last,
    };
    let stream = Stream {
        db: caller.db.clone(),
        partner,
        after,
        listener,
        stopping: Connection::of(&http)?.stopping(),
        greeted: false,
        _seat: seat,
    };
    let events = unfold(stream, async |mut stream| {
        let chunk = stream.next().await?;
        Some((Ok::<_, Error>(Bytes::from(chunk)), stream))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        // Proxies that gather answers would hold events back.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(Box::pin(events)))
}

struct Stream<S> {
    db: Db,
    partner: String,
    /// The number of the last event that was sent.
    after: i64,
    listener: Listener,
    stopping: S,
    greeted: bool,
    _seat: OwnedSemaphorePermit,
}

impl<S: Future<Output = ()> + Unpin> Stream<S> {
    /// What is to be sent next; none when the stream is to end.
    async fn next(&mut self) -> Option<String> {
        if !self.greeted {
            self.greeted = true;
            // An id without data is no event, and still what a client that is cut off now will come back with.
            return Some(format!("id: {}\n\n", self.after));
        }
        loop {
            let (partner, after) = (self.partner.clone(), self.after);
            let page = move |conn: &mut db::Conn| transitions::after(conn, &partner, after, PAGE);
            // The client comes back with the last number it has seen, when the store may be well again.
            let page = self.db.read(page).await.ok()?;
            if let Some((last, _, _)) = page.last() {
                self.after = last.seq;
                return Some(page.into_iter().map(event).collect());
            }
            tokio::select! {
                () = self.listener.news() => {}
                () = tokio::time::sleep(QUIET) => return Some(":\n\n".to_owned()),
                () = &mut self.stopping => return None,
            }
        }
    }
}

fn event((transition, user_id, external_user_id): (Transition, String, String)) -> String {
    let seq = transition.seq;
    let data = serde_json::to_string(&EventDocument {
        user_id,
        external_user_id,
        transition: transition.into(),
    });
    let mut text = String::new();
    let _ = write!(
        text,
        "event: transition\nid: {seq}\ndata: {}\n\n",
        data.unwrap_or_default()
    );
    text
}
